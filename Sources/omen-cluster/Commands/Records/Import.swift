internal import OmenSystem
internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenShard
internal import OmenStorage
internal import OmenWire

/// The ids of an import so far, to find those that come again.
struct RepeatedIDs {
    private var seen: Set<RecordID> = []
    /// Vectors that a later one of the same id replaced.
    private(set) var count: UInt64 = 0
    /// Those of them that had come in an earlier batch, where the cluster counts them as replaced.
    private(set) var replacedCount: UInt64 = 0

    /// Notes a batch's ids.
    ///
    /// - Returns: Whether one of them came in an earlier batch.
    mutating func note(_ ids: [RecordID]) -> Bool {
        let previous = seen.count
        let own = Set(ids)
        seen.formUnion(own)
        count += UInt64(ids.count - (seen.count - previous))
        let again = own.count - (seen.count - previous)
        replacedCount += UInt64(again)
        return again > 0
    }
}

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add or replace the vectors of a file.",
        discussion: """
            .npy (f64, f32, f16, u8, i8; one row per vector), .fvecs, .bvecs, or .jsonl with \
            {"id", "vector", "metadata"} per line. Ids come from --ids, else from the lines, else \
            they count from --id-start; either all lines have one or none. The first import makes \
            the collection. Files are checked before anything is sent, but for the numbers of \
            .jsonl; what was acknowledged before a failure stays. Where an id comes again, its \
            last vector stays, and an id that is there is replaced.
            """
    )

    @Argument(help: "Vectors.")
    var file: String

    @OptionGroup var collection: CollectionOption

    @Option(help: "Distance of a new collection; must agree with an old one.")
    var metric: MetricArgument?

    @Option(
        help: ArgumentHelp("Ids: .npy, .jsonl or a text file, one per vector.", valueName: "file")
    )
    var ids: String?

    @Option(help: ArgumentHelp("Id of the first vector.", valueName: "n"))
    var idStart: UInt64?

    @Option(help: ArgumentHelp("Metadata and ids: one line per vector.", valueName: "file.jsonl"))
    var metadata: String?

    @Flag(help: "Return when all vectors are in the graph.")
    var waitIndexed = false

    @OptionGroup var options: ClusterOptions

    /// Enough to amortise a frame, little enough that all shards work at once.
    private static let batchByteCount = 1 << 20
    private static let batchCountMax = 2048

    func validate() throws {
        guard ids == nil || idStart == nil else {
            throw ValidationError("give either --ids or --id-start")
        }
        if let metadata, !metadata.hasSuffix(".jsonl") {
            throw ValidationError("--metadata \(metadata): expected a .jsonl file")
        }
        try checkingUsage { () throws(OmenError) in try CollectionName.validate(collection.name) }
    }

    func run() throws {
        try reporting {
            var vectors = try VectorFile(
                path: file,
                ids: ids,
                idStart: idStart,
                metadata: metadata
            )
            let client = try connect(options)
            let start = ContinuousClock.now
            var repeats = RepeatedIDs()
            let pipeline = try send(&vectors, client, &repeats)
            let count = pipeline.acknowledgedVectorCount
            // Of one batch the last of equal ids is written only; one that came before is replaced.
            let written = pipeline.counts.replaced
            let replaced = written - min(written, repeats.replacedCount)
            let seconds = (ContinuousClock.now - start).seconds
            var indexedSeconds: Double?
            if waitIndexed {
                try waitUntilLinked(client)
                indexedSeconds = (ContinuousClock.now - start).seconds
            }
            let rate = Double(count) / max(seconds, 1e-9)
            if options.json {
                Console.out(
                    .object([
                        ("vectors", .unsigned(count)),
                        ("duplicates", .unsigned(repeats.count)),
                        ("replaced", .unsigned(replaced)),
                        ("seconds", .number(seconds)),
                        ("vectors_per_second", .number(rate)),
                        ("indexed_seconds", indexedSeconds.map { .number($0) } ?? .null),
                    ])
                )
            } else {
                let indexed = indexedSeconds.map { ", indexed after \(rounded($0)) s" } ?? ""
                Console.out(
                    "\(count) vectors in \(rounded(seconds)) s, \(Int(rate)) per second\(indexed)"
                )
                if repeats.count > 0 {
                    Console.out(
                        "\(repeats.count) of them were replaced by later ones of the same id"
                    )
                }
                if replaced > 0 {
                    let numbers = vectors.namesIDs ? "" : ": ids count from \(idStart ?? 0)"
                    Console.out("\(replaced) records that were there are replaced\(numbers)")
                }
            }
        }
    }

    /// Sends everything; returns what the cluster acknowledged.
    private func send(
        _ vectors: inout VectorFile,
        _ client: ClusterClient,
        _ repeats: inout RepeatedIDs
    ) throws -> UpsertPipeline {
        let (schema, exists) = try client.plannedCollection(
            collection.name,
            dim: vectors.dim,
            element: vectors.element,
            metric: metric?.metric
        )
        try checkMemory(schema, count: vectors.count)
        do throws(OmenError) {
            try vectors.check(against: schema)
        } catch {
            throw OmenError(error.code, "\(error.message); nothing of the file is stored")
        }
        if !exists { try client.createCollection(collection.name, schema: schema) }
        let pipeline = try UpsertPipeline(to: client.endpoint)
        var progress = Progress(total: vectors.count, unit: "vectors")
        defer { progress.clear() }
        pipeline.onWait = { [unowned pipeline] in
            let waiting = pipeline.crowdedCount.map { "some of \($0)" }
            let note =
                pipeline.isCrowded ? "waiting until \(waiting ?? "some") are linked" : nil
            progress.show(Int(clamping: pipeline.acknowledgedVectorCount), note: note)
        }
        Interrupts.begin()
        defer { Interrupts.end() }
        do throws(OmenError) {
            while let batch = try vectors.nextBatch(
                for: schema,
                collection: collection.name,
                byteCount: Self.batchByteCount,
                countMax: Self.batchCountMax
            ) {
                // Batches in flight together are applied in any order, so the earlier go first.
                if vectors.namesIDs, repeats.note(batch.ids) { try pipeline.finish() }
                try pipeline.submit(batch)
            }
            try pipeline.finish()
        } catch {
            throw failure(error, pipeline, total: vectors.count)
        }
        return pipeline
    }

    /// Refuses what would not fit into memory before anything of it is sent.
    private func checkMemory(_ schema: CollectionSchema, count: Int) throws(OmenError) {
        let (needed, overflow) = count.multipliedReportingOverflow(
            by: schema.residentByteCountPerRow
        )
        try SystemMemory.require(
            overflow ? .max : needed,
            available: try SystemMemory.availableByteCount(),
            for: "\(file): \(count) vectors of \(schema.dim) dimensions: the collection"
        )
    }

    /// Says what stays of an import that failed.
    private func failure(_ error: OmenError, _ pipeline: UpsertPipeline, total: Int) -> OmenError {
        // What was in flight when the error came may still be acknowledged.
        do throws(OmenError) {
            try pipeline.finish()
        } catch {
            // The first error is the one to tell.
        }
        var text =
            "\(pipeline.acknowledgedVectorCount) of \(total) vectors were acknowledged and stay"
        if pipeline.unknownVectorCount > 0 {
            text += ", \(pipeline.unknownVectorCount) may have been written"
        }
        let isInterrupted = OmenSystem.Stop.current?.isDue ?? false
        let (code, reason) =
            isInterrupted ? (.stopped, "interrupted") : (error.code, error.message)
        return OmenError(code, "\(reason); \(text)")
    }

    private func waitUntilLinked(_ client: ClusterClient) throws {
        var progress: Progress?
        defer { progress?.clear() }
        while true {
            let status = try client.status()
            let states = status.workers.map(\.state)
            guard !states.contains(.failed), !states.contains(.quarantined) else {
                Console.warning("a shard is out of service, its vectors will not be indexed")
                throw ExitStatus.partial
            }
            let shards = status.workers.compactMap(\.shardStatus)
            let parts = shards.compactMap { shard in
                shard.collections.first { $0.name == collection.name }
            }
            let rows = parts.reduce(0) { $0 + $1.rows }
            let linked = parts.reduce(0) { $0 + $1.linked }
            // A rebuild links all its rows at once, when it is done.
            let building = parts.reduce(0) { sum, part in
                sum + (part.rows - min(part.linked, part.rows)) * UInt64(part.building ?? 0) / 1000
            }
            if shards.count == status.workers.count, linked >= rows { return }
            var shown = progress ?? Progress(total: Int(clamping: rows), unit: "indexed")
            shown.show(Int(clamping: linked + building))
            progress = shown
            pause(milliseconds: 10)
        }
    }
}
