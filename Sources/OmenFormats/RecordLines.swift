internal import Glibc
package import OmenCore

/// One line of a `.jsonl` file, without its vector.
package struct LineRecord: Equatable, Sendable {
    /// Absent when the line has no `"id"`.
    package var id: RecordID?
    /// Compact JSON text of `"metadata"`; empty when absent or null.
    package var metadata: [UInt8]
    /// Whether the line has a `"vector"`.
    package var hasVector: Bool
}

/// Reads a `.jsonl` file: per line an object of `"id"`, `"vector"` and `"metadata"`, each optional.
///
/// Borrows the file's bytes: they must outlive the value. Every error names the line, counted
/// from 1. Empty lines are skipped.
package struct RecordLines {
    /// Number of the line that `next` last read, from 1.
    package private(set) var lineNumber = 0
    /// Elements of every vector: those of the first one read.
    package private(set) var dim: Int?

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Lines that hold something, to know the total before reading.
    ///
    /// - Complexity: O(bytes).
    package func recordCount() -> Int {
        var lines = RecordLines(bytes)
        var count = 0
        while lines.nextLine() != nil { count += 1 }
        return count
    }

    /// Reads the next line and appends its vector to `vectors` as little-endian f32.
    ///
    /// - Returns: Nil at the end of the file.
    /// - Throws: `.badRequest` naming the line; `vectors` may then hold part of a vector.
    package mutating func next(vectors: inout [UInt8]) throws(OmenError) -> LineRecord? {
        guard let line = nextLine() else { return nil }
        do throws(OmenError) {
            return try record(line, &vectors)
        } catch {
            throw OmenError(error.code, "line \(lineNumber): \(error.message)")
        }
    }

    private mutating func nextLine() -> UnsafeRawBufferPointer? {
        while offset < bytes.count, let base = bytes.baseAddress {
            let rest = bytes.count - offset
            let found = memchr(base + offset, Int32(UInt8(ascii: "\n")), rest)
            let end = found.map { UnsafeRawPointer($0) - base } ?? bytes.count
            let line = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            offset = end + 1
            lineNumber += 1
            let isBlank = line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if !isBlank { return line }
        }
        return nil
    }

    private mutating func record(
        _ line: UnsafeRawBufferPointer,
        _ vectors: inout [UInt8]
    ) throws(OmenError) -> LineRecord {
        var scanner = JSONScanner(bytes: line, what: "the line")
        var record = LineRecord(id: nil, metadata: [], hasVector: false)
        var seen: Set<String> = []
        scanner.skipSpace()
        guard scanner.accept(UInt8(ascii: "{")) else { throw scanner.unexpected("an object") }
        scanner.skipSpace()
        var isAtEnd = scanner.accept(UInt8(ascii: "}"))
        while !isAtEnd {
            let key = try JSONValue.string(&scanner)
            guard seen.insert(key).inserted else {
                throw OmenError(.badRequest, "\"\(key)\" is there twice")
            }
            scanner.skipSpace()
            guard scanner.accept(UInt8(ascii: ":")) else { throw scanner.unexpected("':'") }
            scanner.skipSpace()
            switch key {
            case "id": record.id = try JSONValue.id(&scanner)
            case "vector":
                let count = try JSONValue.vector(&scanner, into: &vectors)
                guard count == dim ?? count else {
                    throw OmenError(
                        .badRequest,
                        "vector has \(count) elements, those before have \(dim ?? count)"
                    )
                }
                dim = count
                record.hasVector = true
            case "metadata": record.metadata = try JSONValue.object(&scanner)
            default:
                throw OmenError(
                    .badRequest,
                    "unknown key \"\(key)\", expected \"id\", \"vector\" or \"metadata\""
                )
            }
            scanner.skipSpace()
            isAtEnd = scanner.accept(UInt8(ascii: "}"))
            guard isAtEnd || scanner.accept(UInt8(ascii: ",")) else {
                throw scanner.unexpected("',' or '}'")
            }
            scanner.skipSpace()
        }
        scanner.skipSpace()
        guard scanner.peek == nil else { throw scanner.unexpected("the end of the line") }
        return record
    }
}
