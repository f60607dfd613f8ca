internal import OmenCore
internal import OmenWire

/// How the state of a cluster is shown, by `status` and by `start`.
enum StatusOutput {
    static func json(_ status: ClusterStatus) -> JSON {
        .object([
            (
                "coordinator",
                .object([
                    ("pid", .integer(Int(status.pid))),
                    ("uptime_seconds", .number(Double(status.uptimeMilliseconds) / 1000)),
                    ("socket", .string(status.socket)),
                ])
            ),
            ("shards", .array(status.workers.map(json))),
        ])
    }

    private static func json(_ worker: WorkerStatus) -> JSON {
        let shard = worker.shardStatus
        var members: [(String, JSON)] = [
            ("shard", .integer(Int(worker.shard))),
            ("pid", worker.pid == 0 ? .null : .integer(Int(worker.pid))),
            ("state", .string("\(worker.state)")),
            ("restarts", .integer(Int(worker.restarts))),
            ("resident_bytes", shard.map { .unsigned($0.residentByteCount) } ?? .null),
            ("log_bytes", shard.map { .unsigned($0.logByteCount) } ?? .null),
            ("applied_lsn", shard.map { .unsigned($0.appliedLSN) } ?? .null),
            ("durable_lsn", shard.map { .unsigned($0.durableLSN) } ?? .null),
            ("checkpoint_lsn", shard.map { .unsigned($0.checkpointLSN) } ?? .null),
        ]
        if !worker.lastError.isEmpty { members.append(("last_error", .string(worker.lastError))) }
        let collections = shard?.collections ?? []
        members.append(
            (
                "collections",
                .object(
                    collections.map { collection in
                        (collection.name, json(collection, logByteCount: shard?.logByteCount ?? 0))
                    }
                )
            )
        )
        return .object(members)
    }

    /// The log is shared by a shard's collections; each of them names the whole of it.
    private static func json(_ collection: CollectionStatus, logByteCount: UInt64) -> JSON {
        .object([
            ("vectors", .unsigned(collection.vectors)),
            ("linked", .unsigned(collection.linked)),
            ("rows", .unsigned(collection.rows)),
            ("deleted", .unsigned(collection.deleted)),
            ("building", collection.building.map { .number(Double($0) / 1000) } ?? .null),
            ("build_bytes", .unsigned(collection.buildByteCount)),
            ("build_waits", .bool(collection.waitsForMemory)),
            ("calibration", collection.calibration.map(json) ?? .null),
            ("dim", .integer(collection.schema.dim)),
            ("file_bytes", .unsigned(collection.fileByteCount)),
            ("log_bytes", .unsigned(logByteCount)),
        ])
    }

    private static func json(_ table: CalibrationTable) -> JSON {
        let curves = zip(CalibrationTable.ks, table.curves).map { k, curve in
            ("\(k)", JSON.array(curve.map { .array([.integer($0.ef), .float($0.recall)]) }))
        }
        return .object([
            ("queries", .string(table.isOfSample ? "sample" : "rows")), ("k", .object(curves)),
        ])
    }

    static func text(_ status: ClusterStatus) -> String {
        let uptime = rounded(Double(status.uptimeMilliseconds) / 1000, digits: 1)
        var table = TextTable([
            "shard#", "pid#", "state", "restarts#", "resident#", "log#", "vectors#", "linked#",
            "deleted#", "building#",
        ])
        for worker in status.workers {
            let shard = worker.shardStatus
            let collections = shard?.collections ?? []
            func sum(_ value: (CollectionStatus) -> UInt64) -> String {
                shard == nil ? "-" : "\(collections.reduce(0) { $0 + value($1) })"
            }
            table.append([
                "\(worker.shard)",
                worker.pid == 0 ? "-" : "\(worker.pid)",
                painted(worker.state),
                "\(worker.restarts)",
                shard.map { byteText($0.residentByteCount) } ?? "-",
                shard.map { byteText($0.logByteCount) } ?? "-",
                sum(\.vectors),
                sum(\.linked),
                sum(\.deleted),
                building(collections),
            ])
        }
        let reasons = status.workers.filter { !$0.lastError.isEmpty }
            .map { "\nshard \($0.shard): \($0.lastError)\(wayOut($0))" }
        return "coordinator \(status.pid), up \(uptime) s, \(status.socket)\n" + table.text
            + reasons.joined() + recallText(status)
    }

    /// Widths that people see what is found at.
    private static let shownEfs = [16, 32, 64, 128, 256]

    /// A table of what searches for ten find at least, one line for each collection that was
    /// measured on all shards; nothing while a shard does not tell its state.
    private static func recallText(_ status: ClusterStatus) -> String {
        let shards = status.workers.compactMap(\.shardStatus)
        guard shards.count == status.workers.count else { return "" }
        let lines = CollectionStatus.merged(shards.flatMap(\.collections))
            .compactMap { collection -> [String]? in
                guard let table = collection.calibration else { return nil }
                let recalls = shownEfs.map { table.recall(ofTen: $0) }
                return [collection.name, table.isOfSample ? "sample" : "rows"]
                    + recalls.map { $0.map { rounded(Double($0), digits: 3) } ?? "-" }
            }
        guard !lines.isEmpty else { return "" }
        var table = TextTable(["collection", "queries"] + shownEfs.map { "ef \($0)#" })
        for line in lines { table.append(line) }
        return "\nrecall@10, at least:\n" + table.text
    }

    private static func building(_ collections: [CollectionStatus]) -> String {
        if let permille = collections.compactMap(\.building).first { return "\(permille / 10) %" }
        guard let waiting = collections.first(where: \.waitsForMemory) else { return "-" }
        return "waits for \(byteText(waiting.buildByteCount))"
    }

    /// What an operator can do about a shard that does not come back by itself.
    private static func wayOut(_ worker: WorkerStatus) -> String {
        guard worker.state == .quarantined else { return "" }
        return "; put the files back, or go on without: omen-cluster accept-loss \(worker.shard)"
    }

    private static func painted(_ state: WorkerState) -> String {
        switch state {
        case .ready: Console.painted("\(state)", .green)
        case .failed, .quarantined, .dead: Console.painted("\(state)", .red)
        case .spawning, .recovering, .draining, .backoff: Console.painted("\(state)", .yellow)
        }
    }

    private static func byteText(_ count: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(rounded(value, digits: unit == 0 ? 0 : 1)) \(units[unit])"
    }
}

extension Coverage {
    /// What is missing, for people.
    var missingText: String {
        failures.map { "shard \($0.shard): \($0.error.message)" }.joined(separator: "; ")
    }

    /// Says what is missing, and ends the command accordingly.
    func report() throws {
        guard isPartial else { return }
        Console.warning(
            "\(shardsAnswered) of \(shardsTotal) shards answered; \(missingText)"
        )
        throw ExitStatus.partial
    }
}
