internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenShard
internal import OmenStorage

struct Checkpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write every shard's files now; returns when they are durable."
    )

    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let client = try connect(options)
            let (_, seconds) = try timed { try client.checkpoint() }
            if options.json {
                Console.out(.object([("seconds", .number(seconds))]))
            } else {
                Console.out("checkpoint in \(rounded(seconds)) s")
            }
        }
    }
}

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a stopped data directory, changing nothing.",
        discussion: "Reads every byte; names the first bad offset of each file and ends with 1."
    )

    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let location = try options.location()
            let report = try verifyCluster(Directory(location.data))
            if options.json {
                Console.out(json(report))
            } else {
                for note in report.notes { Console.note("note: \(note)") }
                for problem in report.problems { Console.out("\(problem)") }
                Console.out(
                    "\(report.problems.count) problems in \(report.shardCount) shards, \(report.shardFileCount) shard files, \(report.logSegmentCount) log segments, \(report.byteCount) bytes"
                )
                for times in report.logTimes {
                    let (first, last) = bounds(times)
                    Console.out("shard \(times.shard): the log covers \(first) to \(last)")
                }
            }
            if !report.problems.isEmpty { throw ExitStatus.failure }
        }
    }

    private func json(_ report: StorageReport) -> JSON {
        .object([
            ("problems", .array(report.problems.map(json))),
            ("notes", .array(report.notes.map(json))),
            ("shards", .integer(report.shardCount)),
            ("shard_files", .integer(report.shardFileCount)),
            ("log_segments", .integer(report.logSegmentCount)),
            ("log_records", .integer(report.logRecordCount)),
            ("log_times", .array(report.logTimes.map(json))),
            ("bytes", .integer(report.byteCount)),
        ])
    }

    private func bounds(_ times: LogTimes) -> (first: String, last: String) {
        (
            universalTime(microseconds: times.wallMicroseconds.lowerBound),
            universalTime(microseconds: times.wallMicroseconds.upperBound)
        )
    }

    private func json(_ times: LogTimes) -> JSON {
        let (first, last) = bounds(times)
        return .object([
            ("shard", .integer(times.shard)), ("first", .string(first)), ("last", .string(last)),
        ])
    }

    private func json(_ finding: StorageFinding) -> JSON {
        .object([
            ("file", .string(finding.file)),
            ("offset", finding.offset.map { .integer($0) } ?? .null),
            ("what", .string(finding.what)),
        ])
    }
}
