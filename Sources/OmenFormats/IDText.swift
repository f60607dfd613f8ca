internal import Glibc
package import OmenCore

extension RecordID {
    /// Reads an id as people type it: digits without a leading zero are a number, if it fits in 64
    /// bits; everything else is a text.
    ///
    /// A number in quotes, as in `"7"`, is the text between them.
    package init(typed text: String) throws(OmenError) {
        let utf8 = Array(text.utf8)
        let isDigits = !utf8.isEmpty && utf8.allSatisfy { (0x30...0x39).contains($0) }
        if isDigits, utf8.count == 1 || utf8[0] != 0x30, let number = UInt64(text) {
            self = .number(number)
        } else if utf8.count > 2, utf8.first == 0x22, utf8.last == 0x22 {
            // By bytes: a quote and a combining mark behind it are one character.
            self = .text(String(decoding: utf8[1..<utf8.count - 1], as: UTF8.self))
        } else {
            self = .text(text)
        }
        try validate()
    }

    /// The text that `init(typed:)` reads as this very id, for output that can be typed again.
    package var typedText: String {
        switch self {
        case .number(let value): return "\(value)"
        case .text(let text):
            let isDigits = text.utf8.allSatisfy { (0x30...0x39).contains($0) }
            let isQuoted = text.utf8.first == 0x22 && text.utf8.last == 0x22
            return isDigits || isQuoted ? "\"\(text)\"" : text
        }
    }
}

/// Ids from a text file, one per line, each as `RecordID(typed:)` reads it.
package enum IDLines {
    /// - Throws: `.badRequest` naming the line; empty lines are errors, except a last one.
    package static func read(_ file: UnsafeRawBufferPointer) throws(OmenError) -> [RecordID] {
        let bytes = try TextStart.skip(file)
        var ids: [RecordID] = []
        var offset = 0
        while offset < bytes.count, let base = bytes.baseAddress {
            let found = memchr(base + offset, Int32(UInt8(ascii: "\n")), bytes.count - offset)
            let end = found.map { UnsafeRawPointer($0) - base } ?? bytes.count
            // A copy: the file may change while `String` reads it twice.
            var line = Array(bytes[offset..<end])
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            offset = end + 1
            guard let text = String(validating: line, as: UTF8.self) else {
                throw OmenError(.badRequest, "line \(ids.count + 1): not UTF-8")
            }
            do throws(OmenError) {
                ids.append(try RecordID(typed: text))
            } catch {
                throw OmenError(error.code, "line \(ids.count + 1): \(error.message)")
            }
        }
        return ids
    }
}
