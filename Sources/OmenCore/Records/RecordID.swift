internal import Glibc

/// The name of one record: a 64-bit number or a UTF-8 text of 1...512 bytes, both native.
///
/// `.number(7)` and `.text("7")` are different ids. Texts are their bytes: two that look alike and
/// are written in other code points, as "é" may be, are two ids. Ordered numbers first, then texts
/// bytewise, so that equal distances merge to one answer on every run.
package enum RecordID: Sendable {
    case number(UInt64)
    case text(String)
}

extension RecordID {
    /// Calls `body` with the id's bytes: 8 little-endian bytes of a number, or the UTF-8 text.
    ///
    /// - Complexity: O(length); no allocation for native strings.
    package func withBytes<Result>(
        _ body: (_ isText: Bool, _ bytes: UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        switch self {
        case .number(let value):
            return try withUnsafeBytes(of: value.littleEndian) { try body(false, $0) }
        case .text(var text):
            return try text.withUTF8 { try body(true, UnsafeRawBufferPointer($0)) }
        }
    }

    /// Checks the limits of an id that came from outside.
    package func validate() throws(OmenError) {
        guard case .text(let text) = self else { return }
        let byteCount = text.utf8.count
        guard (1...Limits.textIDByteCountMax).contains(byteCount) else {
            throw OmenError(
                .badRequest,
                "text id has \(byteCount) bytes, expected 1...\(Limits.textIDByteCountMax)"
            )
        }
    }
}

// `String` compares by canonical equivalence, under which different bytes may be equal.
extension RecordID: Hashable {
    package static func == (left: RecordID, right: RecordID) -> Bool {
        switch (left, right) {
        case (.number(let a), .number(let b)): a == b
        case (.text(let a), .text(let b)): a.hasSameBytes(as: b)
        case (.number, .text), (.text, .number): false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .number(let value): hasher.combine(value)
        case .text(let text):
            let isDone: Void? = text.utf8.withContiguousStorageIfAvailable {
                hasher.combine(bytes: UnsafeRawBufferPointer($0))
            }
            // Bytes that lie elsewhere, which no text of ours does.
            if isDone == nil { for byte in text.utf8 { hasher.combine(byte) } }
        }
    }
}

extension String {
    /// Whether both are the same UTF-8; `==` also calls other spellings of the same characters
    /// equal.
    package func hasSameBytes(as other: String) -> Bool {
        let isSame = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right -> Bool in
                guard left.count == right.count else { return false }
                guard let a = left.baseAddress, let b = right.baseAddress else { return true }
                return memcmp(a, b, left.count) == 0
            }
        }
        return isSame.flatMap { $0 } ?? utf8.elementsEqual(other.utf8)
    }
}

extension RecordID: Comparable {
    package static func < (left: RecordID, right: RecordID) -> Bool {
        switch (left, right) {
        case (.number(let a), .number(let b)): a < b
        case (.number, .text): true
        case (.text, .number): false
        case (.text(let a), .text(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
        }
    }
}

extension RecordID: CustomStringConvertible {
    package var description: String {
        switch self {
        case .number(let value): "\(value)"
        case .text(let text): text
        }
    }
}
