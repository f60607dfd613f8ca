internal import OmenCore

/// Ascending strings, front-coded in blocks of 16.
///
///     u64[blocks]  where each block begins, in the bytes behind
///     u8[]         of each string: bytes that it begins with as the string before in its block
///                  does, then how many follow, both LEB128; then these. The first string of a
///                  block has no shared bytes and no count of them.
enum StringBlocks {
    static let blockCount = 16
    /// The most that a count may be: it has two bytes at most.
    static let byteCountMax = 1 << 14 - 1

    struct Writer {
        private var offsets: [UInt8] = []
        private var bytes: [UInt8] = []
        private var last: [UInt8] = []
        private(set) var count = 0

        /// Appends a string.
        ///
        /// - Parameter string: A string above the one before.
        mutating func append(_ string: UnsafeRawBufferPointer) {
            precondition(string.count <= byteCountMax, "a key of \(string.count) bytes")
            var shared = 0
            if count % blockCount == 0 {
                offsets.append(littleEndian: UInt64(bytes.count))
            } else {
                while shared < min(last.count, string.count), last[shared] == string[shared] {
                    shared += 1
                }
                append(count: shared)
            }
            append(count: string.count - shared)
            bytes.append(contentsOf: string[shared...])
            last.removeAll(keepingCapacity: true)
            last.append(contentsOf: string)
            count += 1
        }

        private mutating func append(count: Int) {
            if count < 128 { return bytes.append(UInt8(count)) }
            bytes.append(UInt8(count & 127) | 128)
            bytes.append(UInt8(count >> 7))
        }

        /// All of it.
        consuming func finish() -> [UInt8] {
            offsets.append(contentsOf: bytes)
            return offsets
        }
    }

    /// Reads strings from bytes that cannot be trusted, one after the other.
    struct Cursor {
        private let bytes: UnsafeRawBufferPointer
        private let count: Int
        private var at: Int
        /// The next string.
        private(set) var index: Int
        /// The string that `next` found.
        private(set) var string: [UInt8] = []

        /// Stands before the first string of a block.
        ///
        /// - Parameters:
        ///   - bytes: All of it.
        ///   - count: How many strings there are.
        ///   - block: The block; there is one of this number.
        /// - Throws: `.corrupt` when the block is not there.
        init(_ bytes: UnsafeRawBufferPointer, count: Int, block: Int) throws(OmenError) {
            let blocks = (count + blockCount - 1) / blockCount
            guard blocks * 8 <= bytes.count, block < blocks || count == 0 else {
                throw Self.corrupt
            }
            self.bytes = UnsafeRawBufferPointer(rebasing: bytes[(blocks * 8)...])
            self.count = count
            index = block * blockCount
            at = 0
            guard block < blocks else { return }
            guard let start = Int(exactly: bytes.u64(at: block * 8)), start <= self.bytes.count
            else { throw Self.corrupt }
            at = start
        }

        /// Reads the next string.
        ///
        /// - Returns: Whether there was one; it is `string` now.
        /// - Throws: `.corrupt` when it is not there.
        mutating func next() throws(OmenError) -> Bool {
            guard index < count else { return false }
            let shared = index % blockCount == 0 ? 0 : try readCount()
            let rest = try readCount()
            guard shared <= string.count, shared + rest <= byteCountMax, rest <= bytes.count - at
            else { throw Self.corrupt }
            string.removeLast(string.count - shared)
            string.append(contentsOf: bytes[at..<at + rest])
            at += rest
            index += 1
            return true
        }

        private mutating func readCount() throws(OmenError) -> Int {
            guard at < bytes.count else { throw Self.corrupt }
            let low = Int(bytes[at])
            at += 1
            guard low >= 128 else { return low }
            guard at < bytes.count, bytes[at] < 128 else { throw Self.corrupt }
            defer { at += 1 }
            return low & 127 | Int(bytes[at]) << 7
        }

        private static var corrupt: OmenError {
            OmenError(.corrupt, "the strings of the metadata catalog end too early")
        }
    }
}
