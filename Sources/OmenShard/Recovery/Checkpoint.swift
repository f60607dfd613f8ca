internal import OmenSystem
internal import OmenCore
internal import OmenIndex
internal import OmenStorage

/// One shard file as the manifest names it.
struct CheckpointFile: Equatable, Sendable {
    var name: String
    /// The last LSN whose effect it holds.
    var lsn: UInt64
    var byteCount: Int
}

/// What a checkpoint left on disk.
struct WrittenCheckpoint: Sendable {
    /// The files now in force, one per collection in the order of the job's parts.
    var files: [CheckpointFile]
    /// The manifest's, with them.
    var generation: UInt64
}

/// A frozen picture of the shard at one LSN, written out by a second thread.
///
/// Rows below the frozen counts never change and the graphs stand still until `thaw`, so the
/// writing thread reads the very memory that goes on answering searches. Collections that did not
/// change since their last file keep it.
struct CheckpointJob: Sendable {
    struct Part: @unchecked Sendable {
        var name: String
        var schema: CollectionSchema
        /// The file to keep, when nothing changed.
        var existing: CheckpointFile?
        /// What to write otherwise.
        ///
        /// The objects are only read, within the frozen counts.
        var frozen: (index: IndexSnapshot, records: RecordTable.Frozen)?
    }

    var directory: Directory
    var identity: ShardIdentity
    var throughLSN: UInt64
    var parts: [Part]
    var requests: [RememberedRequest]
    /// What must hold before anything is written: the frozen rows come out of those files.
    var check: DeferredCheck?

    /// Freezes `store` as it is, with everything up to `throughLSN` applied.
    init(
        store: ShardStore,
        throughLSN: UInt64,
        requests: [RememberedRequest],
        directory: Directory,
        identity: ShardIdentity,
        check: DeferredCheck?
    ) {
        self.directory = directory
        self.check = check
        self.identity = identity
        self.throughLSN = throughLSN
        self.requests = requests
        parts = store.ordered.map { collection in
            guard let file = collection.file, collection.isStored else {
                return Part(
                    name: collection.name,
                    schema: collection.schema,
                    existing: nil,
                    frozen: (collection.index.freeze(), collection.records.freeze())
                )
            }
            return Part(
                name: collection.name,
                schema: collection.schema,
                existing: file,
                frozen: nil
            )
        }
    }

    /// Writes the files, then the manifest, then removes what neither generation needs.
    ///
    /// Runs on its own thread, while no rotation of the log is under way. `breathe` is called after
    /// every block of a file, so that the caller can rest there while searches come in.
    func run(breathe: () -> Void = {}) throws(OmenError) -> WrittenCheckpoint {
        // New checksums over damaged rows would hide the damage.
        try check?.finish()
        guard let old = try ShardManifest.load(directory, identity: identity) else {
            throw OmenError(.corrupt, "\(directory.path): the manifest has disappeared")
        }
        let files = try writeFiles(generation: old.generation + 1, breathe)
        let collections = zip(parts, files).map { part, file in
            ShardCheckpoint.Collection(name: part.name, schema: part.schema, file: file.name)
        }
        let manifest = old.advanced(
            to: ShardCheckpoint(
                appliedLSN: throughLSN,
                collections: collections,
                requests: requests
            )
        )
        try manifest.store(directory)
        for name in manifest.removableFiles(among: try directory.names()) {
            try directory.remove(name)
        }
        try directory.sync()
        try releaseMemory(files)
        return WrittenCheckpoint(files: files, generation: manifest.generation)
    }

    /// Leaves what searches seldom read to the files that now hold it, and what writing took to the
    /// system.
    private func releaseMemory(_ files: [CheckpointFile]) throws(OmenError) {
        for (part, file) in zip(parts, files) {
            guard let frozen = part.frozen else { continue }
            let opened = try ShardFile(path: directory.path(of: file.name), identity: identity)
            if let vectors = frozen.index.rerankVectors {
                try opened.replaceMemory(at: vectors, with: VectorIndex.Section.vectors.rawValue)
            }
            for (section, region) in frozen.records.immutableRegions {
                try opened.replaceMemory(at: region.base, with: section.rawValue)
            }
        }
        AllocatorPolicy.returnFreed()
    }

    /// Writes every part that changed, or none: a disk that is full gets its space back.
    private func writeFiles(
        generation: UInt64,
        _ breathe: () -> Void
    ) throws(OmenError) -> [CheckpointFile] {
        var files: [CheckpointFile] = []
        do throws(OmenError) {
            for (ordinal, part) in parts.enumerated() {
                if let existing = part.existing {
                    files.append(existing)
                } else {
                    files.append(
                        try write(part, ordinal: ordinal, generation: generation, breathe)
                    )
                }
            }
        } catch {
            for (part, file) in zip(parts, files) where part.existing == nil {
                try directory.remove(file.name)
            }
            throw error
        }
        return files
    }

    private func write(
        _ part: Part,
        ordinal: Int,
        generation: UInt64,
        _ breathe: () -> Void
    ) throws(OmenError) -> CheckpointFile {
        guard let frozen = part.frozen else {
            preconditionFailure("collection \(part.name) is neither frozen nor stored")
        }
        // Two checkpoints may end at one LSN, when only links changed: the generation tells their
        // files apart.
        let name = ShardFileName.make(
            lsn: throughLSN,
            ordinal: UInt16(truncatingIfNeeded: generation) << 8 | UInt16(ordinal & 0xFF)
        )
        let byteCount = try frozen.records.withSections { records throws(OmenError) in
            var sections: [FileSection] = []
            for (section, bytes) in frozen.index.sections {
                guard let base = bytes.baseAddress else { continue }
                sections.append(
                    FileSection(
                        kind: section.rawValue,
                        base: base,
                        byteCount: bytes.count,
                        isLazy: section.isPerRow
                    )
                )
            }
            return try ShardFileWriter.write(
                directory: directory,
                name: name,
                identity: identity,
                collection: part.name,
                schema: part.schema,
                lsn: throughLSN,
                sections: sections + records,
                breathe: breathe
            )
        }
        return CheckpointFile(name: name, lsn: throughLSN, byteCount: byteCount)
    }
}
