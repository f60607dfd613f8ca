internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenWire

struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create a collection.",
        discussion: "A collection that is there with the same properties is left alone."
    )

    @Argument(help: "Name: a-z 0-9 _ -, at most 64 characters.")
    var name: String

    @Option(help: "Elements of every vector.")
    var dim: Int

    @Option(help: "Distance.")
    var metric = MetricArgument.l2

    @Option(
        help: """
            What the graph is searched on; codes of 8, 4 or 1 bit are compact and reranked. \
            Standard: u4 for f32 from 256 dimensions on, else u8.
            """
    )
    var codes: CodesArgument?

    @Option(help: "What full vectors are stored as; u8 takes whole numbers 0...255 only.")
    var element = NumberArgument.f32

    @Option(help: "Links a vector asks for; twice as many at most on the lowest level.")
    var m: Int?

    @Option(help: "Width of the search while linking.")
    var efConstruction: Int?

    @OptionGroup var options: ClusterOptions

    private func schema() throws(OmenError) -> CollectionSchema {
        try CollectionName.validate(name)
        var schema = CollectionSchema(
            dim: dim,
            metric: metric.metric,
            element: element.element,
            codes: codes?.codes
        )
        schema.m = m ?? schema.m
        schema.efConstruction = efConstruction ?? schema.efConstruction
        try schema.validate()
        return schema
    }

    func validate() throws { _ = try checkingUsage(schema) }

    func run() throws {
        try reporting {
            let schema = try schema()
            let cluster = try connect(options)
            let reply = try cluster.write(.createCollection(name: name, schema: schema))
            if options.json {
                Console.out(schema.json(name: name))
            } else {
                Console.out("created \(name): \(schema.dim) x \(schema.element), \(schema.metric)")
            }
            try reply.coverage.report()
        }
    }
}

struct Collections: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the collections.")

    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let collections = try connect(options).listCollections()
            guard !options.json else {
                let list = collections.map { $0.schema.json(name: $0.name) }
                Console.out(.object([("collections", .array(list))]))
                return
            }
            var table = TextTable([
                "name", "dim#", "metric", "element", "codes", "m#", "ef_construction#",
            ])
            for collection in collections {
                let schema = collection.schema
                table.append([
                    collection.name, "\(schema.dim)", "\(schema.metric)", "\(schema.element)",
                    "\(schema.codes)", "\(schema.m)", "\(schema.efConstruction)",
                ])
            }
            Console.out(table.text)
        }
    }
}

struct Drop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove a collection and all its records."
    )

    @Argument(help: "Name of the collection.")
    var name: String

    @OptionGroup var options: ClusterOptions

    func validate() throws {
        try checkingUsage { () throws(OmenError) in try CollectionName.validate(name) }
    }

    func run() throws {
        try removeRecords(.dropCollection(name: name), options, done: "dropped \(name)")
    }
}

struct Clear: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove all records of a collection; the collection stays."
    )

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    func validate() throws {
        try checkingUsage { () throws(OmenError) in try CollectionName.validate(collection.name) }
    }

    func run() throws {
        try removeRecords(
            .clearCollection(name: collection.name),
            options,
            done: "cleared \(collection.name)"
        )
    }
}

/// Runs a write that removes records, and says how many.
func removeRecords(
    _ operation: WriteOperation,
    _ options: ClusterOptions,
    done: String
) throws {
    try reporting {
        let reply = try connect(options).write(operation)
        if options.json {
            Console.out(
                .object(
                    [
                        ("deleted", .unsigned(reply.counts.deleted))
                    ] + reply.coverage.members
                )
            )
        } else {
            Console.out("\(done): \(reply.counts.deleted) records")
        }
        try reply.coverage.report()
    }
}
