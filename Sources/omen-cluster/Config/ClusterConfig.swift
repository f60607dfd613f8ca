internal import OmenCore
internal import OmenFormats
internal import OmenStorage
internal import TOMLKit

/// What a topology file says; `cluster/README.md` lists the keys.
struct ClusterConfig: Equatable {
    var shards: Int?
    var data: String?
    var socket: String?
    var durability: String?
    var durabilityIntervalMilliseconds: Int?
    var memoryLimit: Int?
    var limits: [CoordinatorLimit: Int] = [:]

    /// Reads a TOML file; relative paths in it are relative to its directory.
    ///
    /// - Throws: `.badRequest` naming the file, and the line or the key that is wrong.
    init(file path: String) throws(OmenError) {
        let text = try String(contentsOf: path)
        let whole = try absolutePath(path).utf8
        let slash = whole.lastIndex(of: UInt8(ascii: "/")) ?? whole.startIndex
        let folder = String(decoding: whole[..<slash], as: UTF8.self) + "/"
        do throws(OmenError) {
            try self.init(text: text)
        } catch {
            throw OmenError(error.code, "\(path): \(error.message)")
        }
        data = try data.map { path throws(OmenError) in
            try absolutePath(path, relativeTo: folder)
        }
        socket = try socket.map { path throws(OmenError) in
            try absolutePath(path, relativeTo: folder)
        }
    }

    init(text: String) throws(OmenError) {
        // The parser ends a text at its zero byte: what is left would name something else.
        guard !text.utf8.contains(0), !text.contains("\\u0000"), !text.contains("\\U00000000")
        else { throw OmenError(.badRequest, "a text has a zero byte") }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw OmenError(
                .badRequest,
                "line \(error.source.begin.line): \(error.description)"
            )
        } catch {
            throw OmenError(.badRequest, "not TOML: \(error)")
        }
        for key in table.keys.sorted() {
            let value = TOMLEntry(key: key, value: table[key])
            switch key {
            case "shards": shards = try value.integer(1...Limits.shardCountMax)
            case "data": data = try value.string()
            case "socket": socket = try value.string()
            case "durability":
                let name = try value.string()
                _ = try Durability(named: name, intervalMilliseconds: nil)
                durability = name
            case "durability_interval_ms":
                durabilityIntervalMilliseconds = try value.integer(durabilityIntervalRange)
            case "memory_limit": memoryLimit = try value.byteCount().checkedAsMemoryLimit()
            case "limits": try readLimits(try value.table())
            default:
                throw OmenError(
                    .badRequest,
                    "unknown key '\(key)', expected shards, data, socket, durability, durability_interval_ms, memory_limit or limits"
                )
            }
        }
    }

    private mutating func readLimits(_ table: TOMLTable) throws(OmenError) {
        for key in table.keys.sorted() {
            guard let limit = CoordinatorLimit(rawValue: key) else {
                let known = CoordinatorLimit.allCases.map(\.rawValue).joined(separator: ", ")
                throw OmenError(.badRequest, "unknown key 'limits.\(key)', expected \(known)")
            }
            limits[limit] = try TOMLEntry(key: "limits.\(key)", value: table[key])
                .integer(limit.range)
        }
    }
}

/// Waits and restart rules that a topology file may change.
enum CoordinatorLimit: String, CaseIterable {
    case readTimeout = "read_timeout_ms"
    case writeTimeout = "write_timeout_ms"
    case heartbeatInterval = "heartbeat_interval_ms"
    case heartbeatTimeout = "heartbeat_timeout_ms"
    case restartBackoffMin = "restart_backoff_min_ms"
    case restartBackoffMax = "restart_backoff_max_ms"
    case restartWindow = "restart_window_ms"
    case restartsInWindowMax = "restarts_in_window_max"
    case frameTimeout = "frame_timeout_ms"

    /// From "at once" to a day; counts to a thousand.
    var range: ClosedRange<Int> { self == .restartsInWindowMax ? 1...1000 : 1...86_400_000 }

    /// Reads `key=value`, as one process tells another.
    static func parse(_ text: String) throws(OmenError) -> (CoordinatorLimit, Int) {
        let parts = text.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let limit = CoordinatorLimit(rawValue: String(parts[0])),
            let value = Int(parts[1]), limit.range.contains(value)
        else {
            throw OmenError(.badRequest, "limit '\(text)', expected KEY=NUMBER")
        }
        return (limit, value)
    }
}

/// Between a sync per batch and a minute of writes lost to a power cut.
let durabilityIntervalRange = 1...60_000

/// One value of a TOML file, with its name for errors.
private struct TOMLEntry {
    let key: String
    let value: (any TOMLValueConvertible)?

    func integer(_ range: ClosedRange<Int>) throws(OmenError) -> Int {
        guard let value, value.type == .int, let number = value.int else {
            throw wrongType("a whole number")
        }
        guard range.contains(number) else {
            throw OmenError(
                .badRequest,
                "\(key) is \(number), expected \(range.lowerBound)...\(range.upperBound)"
            )
        }
        return number
    }

    func string() throws(OmenError) -> String {
        guard let value, value.type == .string, let text = value.string, !text.isEmpty else {
            throw wrongType("a text that is not empty")
        }
        return text
    }

    /// A whole number, or a text with a unit.
    func byteCount() throws(OmenError) -> ByteCount {
        if let value, value.type == .int, let number = value.int {
            return try ByteCount(text: "\(number)")
        }
        guard let value, value.type == .string, let text = value.string else {
            throw wrongType("a number of bytes, such as 1073741824 or \"1GiB\"")
        }
        do throws(OmenError) {
            return try ByteCount(text: text)
        } catch { throw OmenError(error.code, "\(key): \(error.message)") }
    }

    func table() throws(OmenError) -> TOMLTable {
        guard let value, value.type == .table, let table = value.table else {
            throw wrongType("a table")
        }
        return table
    }

    private func wrongType(_ expected: String) -> OmenError {
        OmenError(.badRequest, "\(key) is not \(expected)")
    }
}

extension String {
    /// A small text file.
    fileprivate init(contentsOf path: String) throws(OmenError) {
        let file = try MappedFile(path: path)
        self = try reading(path) { () throws(OmenError) in
            guard let text = String(validating: try TextStart.skip(file.bytes), as: UTF8.self)
            else { throw OmenError(.badRequest, "the text is not UTF-8") }
            return text
        }
    }
}
