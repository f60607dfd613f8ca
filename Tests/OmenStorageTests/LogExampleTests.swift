import Foundation
import OmenCore
import Testing

@testable import OmenStorage

/// The example in `docs/FORMATS.md` is what the code writes, byte by byte.
@Suite struct LogExampleTests {
    private static let time: UInt64 = 1_800_000_000_000_000

    private static var written: [UInt8] {
        let schema = CollectionSchema(dim: 2, element: .u8)
        let batch = UpsertBatch(
            collection: "c",
            element: .u8,
            dim: 2,
            ids: [.number(7), .text("é")],
            vectors: [1, 2, 3, 4],
            metadata: [[], Array("{}".utf8)]
        )
        let operations: [WriteOperation] = [
            .createCollection(name: "c", schema: schema), .upsert(batch),
            .delete(collection: "c", ids: [.number(7)]),
        ]
        let records = operations.enumerated().map { place, operation in
            LogRecord(
                key: RequestKey(client: 0x0C, sequence: UInt64(place + 1)),
                versions: WriteVersions(time + UInt64(place)),
                operation: operation
            )
        }
        let cluster = ClusterUUID(high: 0xA1, low: 0xB2)
        var encoder = LogSegmentEncoder(
            identity: ShardIdentity(cluster: cluster, shard: 3),
            nonce: 0x4E,
            firstLSN: 1
        )
        let frame = encoder.encode(
            LogBatch(firstLSN: 1, durableLSN: 0, wallMicroseconds: time + 2, records: records)
        )
        return encoder.header + frame
    }

    /// Lines of the example are an offset, bytes, and what they are, two spaces between these.
    @Test func theDocumentedLogIsWhatIsWritten() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "docs/FORMATS.md")
        let text = try String(contentsOf: path, encoding: .utf8)
        let example = try #require(
            text.components(separatedBy: "### A log in bytes").dropFirst().first
        )
        let block = try #require(example.components(separatedBy: "```").dropFirst().first)
        var bytes: [UInt8] = []
        for line in block.split(separator: "\n") {
            let columns = line.components(separatedBy: "  ").filter { !$0.isEmpty }
            let offset = try #require(columns.first)
            #expect(Int(offset.trimmingCharacters(in: .whitespaces)) == bytes.count, "\(line)")
            for byte in try #require(columns.dropFirst().first).split(separator: " ") {
                bytes.append(try #require(UInt8(byte, radix: 16)))
            }
            #expect(columns.count == 3, "\(line)")
        }
        let hexadecimal = { (bytes: [UInt8]) in
            bytes.map { String(format: "%02x", $0) }.joined(separator: " ")
        }
        #expect(hexadecimal(bytes) == hexadecimal(Self.written))
    }
}
