import Glibc
import OmenCore
import Testing

@testable import OmenStorage

/// A directory of its own for one test, gone with the object.
final class Scratch {
    let directory: Directory

    init() throws {
        var template = Array("/tmp/omen-storage-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw OmenError(.ioFailure, "mkdtemp failed with errno \(errno)")
        }
        directory = Directory(String(decoding: template.dropLast().map(UInt8.init), as: UTF8.self))
    }

    deinit { Scratch.removeAll(directory) }

    private static func removeAll(_ directory: Directory) {
        for name in (try? directory.names()) ?? [] {
            let path = directory.path(of: name)
            if unlink(path) != 0 { removeAll(Directory(path)) }
        }
        rmdir(directory.path)
    }

    func bytes(of name: String) throws -> [UInt8] {
        try directory.read(name, byteCountMax: 1 << 30) ?? []
    }

    func put(_ bytes: [UInt8], as name: String) throws {
        let file = try File(directory.path(of: name), .create)
        try writeAll(bytes, to: file, at: 0)
    }
}

let testIdentity = ShardIdentity(cluster: ClusterUUID(high: 0xA1, low: 0xB2), shard: 3)

/// The record that belongs to an LSN; different ones for different LSNs.
func record(_ lsn: UInt64, textBytes: Int = 0) -> LogRecord {
    let key = RequestKey(client: 7, sequence: lsn)
    switch lsn % 3 {
    case 0:
        return LogRecord(
            key: key,
            versions: WriteVersions(1000 + lsn),
            operation: .delete(collection: "default", ids: [.number(lsn)])
        )
    default:
        let metadata = [UInt8](repeating: UInt8(ascii: " "), count: textBytes)
        let batch = UpsertBatch(
            collection: "default",
            element: .u8,
            dim: 4,
            ids: [.number(lsn)],
            vectors: [UInt8(truncatingIfNeeded: lsn), 1, 2, 3],
            metadata: textBytes > 0 ? [metadata] : []
        )
        return LogRecord(
            key: key,
            versions: WriteVersions(1000 + lsn),
            operation: .upsert(batch)
        )
    }
}

/// A batch of `count` such records.
func batch(
    _ firstLSN: UInt64,
    _ count: UInt64,
    durable: UInt64? = nil,
    textBytes: Int = 0
) -> LogBatch {
    LogBatch(
        firstLSN: firstLSN,
        durableLSN: durable ?? firstLSN - 1,
        wallMicroseconds: 10 * firstLSN,
        records: (firstLSN..<firstLSN + count).map { record($0, textBytes: textBytes) }
    )
}

/// A mark: everything below `nextLSN` is durable.
func mark(_ nextLSN: UInt64) -> LogBatch {
    LogBatch(firstLSN: nextLSN, durableLSN: nextLSN - 1, records: [])
}
