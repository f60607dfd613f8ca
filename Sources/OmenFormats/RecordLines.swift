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

/// What a `.jsonl` file holds, known without its numbers having been read.
package struct LinesSurvey: Equatable, Sendable {
    /// Lines that hold something.
    package var count = 0
    /// Elements of every vector; nil where no line has one.
    package var dim: Int?
    /// The first line with an `"id"`, and the first without.
    package var named: Int?
    package var unnamed: Int?
    /// The first line with a `"vector"`, and the first without.
    package var filled: Int?
    package var unfilled: Int?

    /// Refuses lines with ids beside lines without: numbers made up for these could be ids of
    /// those.
    package func checkNames() throws(OmenError) {
        guard let named, let unnamed else { return }
        throw OmenError(
            .badRequest,
            "line \(named) has an \"id\" and line \(unnamed) has none: give one to every line or to none"
        )
    }
}

/// Reads a `.jsonl` file: per line an object of `"id"`, `"vector"` and `"metadata"`, each optional.
///
/// Borrows the file's bytes: they must outlive the value. Each line is copied before it is looked
/// at, because the file may change meanwhile. Every error names the line, counted from 1. Empty
/// lines are skipped, and a mark of UTF-8 before the first.
package struct RecordLines {
    /// Number of the line that `next` last read, from 1.
    package private(set) var lineNumber = 0
    /// Elements of every vector: those of the first one read.
    package private(set) var dim: Int?

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private var skipsNumbers = false

    /// - Throws: `.badRequest` for text that is not UTF-8 from its first bytes on.
    package init(_ bytes: UnsafeRawBufferPointer) throws(OmenError) {
        self.bytes = try TextStart.skip(bytes)
    }

    /// Reads all lines, but not the numbers in their vectors, which is most of the work.
    ///
    /// - Throws: `.badRequest` naming the line: anything that `next` objects to but for a number.
    /// - Complexity: O(bytes).
    package func survey() throws(OmenError) -> LinesSurvey {
        var lines = self
        lines.skipsNumbers = true
        var survey = LinesSurvey()
        var ignored: [UInt8] = []
        while let record = try lines.next(vectors: &ignored) {
            survey.count += 1
            ignored.removeAll(keepingCapacity: true)
            let line = lines.lineNumber
            if record.id == nil {
                survey.unnamed = survey.unnamed ?? line
            } else {
                survey.named = survey.named ?? line
            }
            if record.hasVector {
                survey.filled = survey.filled ?? line
            } else {
                survey.unfilled = survey.unfilled ?? line
            }
        }
        survey.dim = lines.dim
        return survey
    }

    /// The id of every line, and the line's number.
    ///
    /// - Throws: `.badRequest` naming the line that has none, or is wrong but for the numbers of
    ///   its vector.
    package func ids() throws(OmenError) -> [(id: RecordID, line: Int)] {
        var lines = self
        lines.skipsNumbers = true
        var ids: [(id: RecordID, line: Int)] = []
        var ignored: [UInt8] = []
        while let record = try lines.next(vectors: &ignored) {
            guard let id = record.id else {
                throw OmenError(.badRequest, "line \(lines.lineNumber): no \"id\"")
            }
            ids.append((id, lines.lineNumber))
            ignored.removeAll(keepingCapacity: true)
        }
        return ids
    }

    /// Reads the next line and appends its vector to `vectors` as little-endian f32.
    ///
    /// - Returns: Nil at the end of the file.
    /// - Throws: `.badRequest` naming the line; `vectors` may then hold part of a vector.
    package mutating func next(vectors: inout [UInt8]) throws(OmenError) -> LineRecord? {
        guard let line = nextLine() else { return nil }
        // Typed throws do not pass through `withUnsafeBytes`, so the outcome travels as a value.
        let outcome: Result<LineRecord, OmenError> = Array(line).withUnsafeBytes { copy in
            do throws(OmenError) {
                guard skipsNumbers else { return .success(try record(copy, &vectors)) }
                do throws(OmenError) {
                    return .success(try record(copy, &vectors))
                } catch {
                    // What is wrong may be in what was skipped.
                    skipsNumbers = false
                    _ = try record(copy, &vectors)
                    throw error
                }
            } catch { return .failure(error) }
        }
        do throws(OmenError) {
            return try outcome.get()
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
                let count = try vector(&scanner, &vectors)
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

    private func vector(
        _ scanner: inout JSONScanner,
        _ vectors: inout [UInt8]
    ) throws(OmenError) -> Int {
        var ahead = scanner
        guard skipsNumbers, ahead.peek == UInt8(ascii: "["), let commas = ahead.skipNumbers(),
            (1..<Limits.dimensionMax).contains(commas)
        else { return try JSONValue.vector(&scanner, into: &vectors) }
        scanner = ahead
        return commas + 1
    }
}
