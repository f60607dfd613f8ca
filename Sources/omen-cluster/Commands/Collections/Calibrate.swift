internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenWire

struct Calibrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure with your queries what searches find.",
        discussion: """
            What --recall takes is measured with records of the collection, and holds for queries \
            like them. From now on it is measured with a sample of 16 to 1,024 other queries, each \
            time the index is built; it is built for that soon. --rows returns to the records.
            """
    )

    @Argument(
        help: ArgumentHelp("Query vectors: .npy, .fvecs, .bvecs or .jsonl.", valueName: "file")
    )
    var file: String?

    @Flag(help: "Measure with records again.")
    var rows = false

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    func validate() throws {
        guard (file == nil) == rows else {
            throw ValidationError("give either a file or --rows")
        }
        try checkingUsage { () throws(OmenError) in try CollectionName.validate(collection.name) }
    }

    private func sample() throws(OmenError) -> QuerySample {
        guard let file else {
            return QuerySample(collection: collection.name, element: .f32, dim: 0, vectors: [])
        }
        let queries = try QueryVectors(file: file)
        return QuerySample(
            collection: collection.name,
            element: queries.element,
            dim: queries.dim,
            vectors: queries.bytes
        )
    }

    func run() throws {
        try reporting {
            let sample = try sample()
            let reply = try connect(options).calibrate(sample)
            if options.json {
                Console.out(
                    .object(
                        [
                            ("queries", .integer(sample.count))
                        ] + reply.coverage.members
                    )
                )
            } else {
                let queries = sample.count == 0 ? "its records" : "\(sample.count) queries"
                Console.out("\(collection.name) is calibrated with \(queries)")
            }
            try reply.coverage.report()
        }
    }
}
