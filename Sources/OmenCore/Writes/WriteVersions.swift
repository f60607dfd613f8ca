/// When the records of one write were written, in the numbering of the shard that owned them then.
///
/// A version is microseconds since 1970, or one more than the version before it where that is
/// larger. So the versions of a shard grow strictly, whatever its clock does. Every write has one,
/// also one that deletes. A record keeps its version when it moves to other rows, files or shards.
package struct WriteVersions: Equatable, Sendable {
    /// Versions are below this number, which microseconds reach in 146,000 years: one more than any
    /// of them is still a number.
    package static let limit: UInt64 = 1 << 62

    /// The version of the write.
    package let write: UInt64
    /// The version of each record of an upsert, for records that were written before; empty where
    /// all have that of the write.
    package let records: [UInt64]

    /// - Parameters:
    ///   - write: As the property.
    ///   - records: As the property; as many as the upsert has records.
    package init(_ write: UInt64, records: [UInt64] = []) {
        self.write = write
        self.records = records
    }

    /// The version of the record at `index` of an upsert.
    package subscript(index: Int) -> UInt64 { records.isEmpty ? write : records[index] }

    /// The largest of them: what the shard's next write has to exceed.
    package var newest: UInt64 { max(write, records.max() ?? 0) }
}

extension WriteVersions: ByteEncodable {
    /// Bytes of versions without a column.
    package static let leastByteCount = 8 + 4

    /// Appends the bytes; `docs/FORMATS.md` ("Record") draws the layout.
    package func encode(into writer: inout ByteWriter) {
        writer.write(write)
        writer.write(UInt32(records.count))
        for version in records { writer.write(version) }
    }

    /// Reads versions.
    ///
    /// - Parameter reader: Stands at the versions.
    /// - Throws: `.corrupt` for a version that is out of range, or more versions than a batch has
    ///   records; as `reader` for too few bytes.
    package init(from reader: inout ByteReader) throws(OmenError) {
        write = try Self.readVersion(&reader)
        let count = Int(try reader.read(UInt32.self))
        guard count <= Limits.batchCountMax, count * 8 <= reader.remaining else {
            throw OmenError(.corrupt, "\(count) versions in \(reader.remaining) bytes")
        }
        var records: [UInt64] = []
        records.reserveCapacity(count)
        for _ in 0..<count { records.append(try Self.readVersion(&reader)) }
        self.records = records
    }

    private static func readVersion(_ reader: inout ByteReader) throws(OmenError) -> UInt64 {
        let version = try reader.read(UInt64.self)
        guard version < limit else {
            throw OmenError(.corrupt, "version \(version), expected less than \(limit)")
        }
        return version
    }
}
