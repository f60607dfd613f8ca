internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenFormats
internal import OmenWire

struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add or replace one record.",
        discussion: """
            The first record makes the collection, and its vector decides the dimension. An id of \
            digits is a number; quote it twice, as in '"7"', for the text.
            """,
        aliases: ["upsert"]
    )

    @Argument(help: "Number or text of at most 512 bytes.")
    var id: IDArgument

    @Option(help: ArgumentHelp("Vector, such as '[0.5, 1, -2]'.", valueName: "json"))
    var vector: String

    @Option(help: ArgumentHelp("Metadata object, such as '{\"a\": 1}'.", valueName: "json"))
    var metadata: String?

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    private func batch() throws(OmenError) -> UpsertBatch {
        let elements = try JSONValue.vector(text: vector)
        var objects: [[UInt8]] = []
        if let metadata { objects = [try JSONValue.object(text: metadata)] }
        return UpsertBatch(
            collection: collection.name,
            element: .f32,
            dim: elements.count / 4,
            ids: [id.id],
            vectors: elements,
            metadata: objects
        )
    }

    func validate() throws { _ = try checkingUsage(batch) }

    func run() throws {
        try reporting {
            let batch = try batch()
            let cluster = try connect(options)
            try cluster.ensureCollection(
                collection.name,
                dim: batch.dim,
                element: .f32,
                metric: nil
            )
            let reply = try cluster.write(.upsert(batch))
            if options.json {
                Console.out(
                    .object(
                        [
                            ("upserted", .unsigned(reply.counts.upserted)),
                            ("replaced", .unsigned(reply.counts.replaced)),
                        ] + reply.coverage.members
                    )
                )
            } else if !reply.coverage.isPartial {
                Console.out(reply.counts.replaced > 0 ? "replaced \(id.id)" : "added \(id.id)")
            }
            try reply.coverage.report()
        }
    }
}

struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show records by id; ends with 1 when one of them is not there."
    )

    @Argument(help: "Ids.")
    var ids: [IDArgument]

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let wanted = ids.map(\.id)
            let reply = try connect(options).get(
                collection: collection.name,
                ids: wanted,
                withVector: true
            )
            let records = reply.records.map { record in
                JSON.object([
                    ("id", record.id.json),
                    ("metadata", record.metadata.map { .text($0) } ?? .null),
                    ("vector", vectorJSON(record.vector ?? [], element: reply.element)),
                ])
            }
            let found = Set(reply.records.map(\.id))
            let missing = wanted.filter { !found.contains($0) }
            if options.json {
                Console.out(
                    .object(
                        [
                            ("records", .array(records)),
                            ("missing", .array(missing.map(\.json))),
                        ] + reply.coverage.members
                    )
                )
            } else {
                for record in records { Console.out(record) }
            }
            try reply.coverage.report()
            guard missing.isEmpty else {
                let names = missing.map(\.typedText).joined(separator: ", ")
                throw OmenError(.notFound, "not in \(collection.name): \(names)")
            }
        }
    }
}

struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove records by id; ids that are not there are skipped."
    )

    @Argument(help: "Ids.")
    var ids: [IDArgument]

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    func run() throws {
        try removeRecords(
            .delete(collection: collection.name, ids: ids.map(\.id)),
            options,
            done: "deleted"
        )
    }
}

struct Count: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Count the records of a collection.")

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let reply = try connect(options).count(collection: collection.name)
            if options.json {
                Console.out(
                    .object(
                        [
                            ("count", .unsigned(reply.count))
                        ] + reply.coverage.members
                    )
                )
            } else {
                Console.out("\(reply.count)")
            }
            try reply.coverage.report()
        }
    }
}
