internal import CRoaring
internal import OmenCore

/// Bitmaps of rows in the "frozen" layout of CRoaring, in containers of 65,536 rows.
///
/// The library writes them, for it knows which container is smallest. They are read here: its own
/// view trusts the bytes, and these come from files. Little-endian, at any alignment:
///
///     u64[1024]  for each container of bits
///     u16[2]     for each run of the containers of runs: first row, rows behind it
///     u16        for each row of the containers of rows
///     u16        for each container: bits 16...31 of its rows; ascending
///     u16        for each container: rows - 1, or runs
///     u8         for each container: 1 bits, 2 rows, 3 runs
///     u32        containers << 15 | 13766
enum FrozenBitmap {
    private static let cookie: UInt32 = 13766
    private static let cookieBitCount: UInt32 = 15
    private static let containerRowCount = 1 << 16
    private static let bitsByteCount = containerRowCount / 8
    /// Bytes at the end for each container.
    private static let tailByteCount = 5
    private static let bitsKind: UInt8 = 1
    private static let rowsKind: UInt8 = 2
    private static let runsKind: UInt8 = 3

    // MARK: Writing

    /// Makes the bitmap of ascending rows and appends it.
    ///
    /// - Parameters:
    ///   - rows: The rows, ascending, each once.
    ///   - limit: Appends nothing if the bitmap takes as many bytes or more.
    ///   - bytes: Where it is appended.
    ///   - breathe: Called every few microseconds.
    /// - Returns: Bytes that were appended; nil for none.
    /// - Throws: `.resourceExhausted` without memory.
    static func append(
        _ rows: UnsafeBufferPointer<UInt32>,
        below limit: Int,
        to bytes: inout [UInt8],
        breathe: () -> Void
    ) throws(OmenError) -> Int? {
        guard let bitmap = roaring_bitmap_create() else {
            throw OmenError(.resourceExhausted, "no memory for a bitmap of \(rows.count) rows")
        }
        defer { roaring_bitmap_free(bitmap) }
        var start = 0
        while start < rows.count {
            let part = UnsafeBufferPointer(rebasing: rows[start..<min(start + 2048, rows.count)])
            roaring_bitmap_add_many(bitmap, part.count, part.baseAddress)
            start += part.count
            breathe()
        }
        roaring_bitmap_run_optimize(bitmap)
        let byteCount = roaring_bitmap_frozen_size_in_bytes(bitmap)
        guard byteCount < limit else { return nil }
        let end = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: byteCount))
        bytes.withUnsafeMutableBytes { bytes in
            let place = bytes[end...].withMemoryRebound(to: CChar.self) { $0.baseAddress }
            roaring_bitmap_frozen_serialize(bitmap, place)
        }
        return byteCount
    }

    // MARK: Reading

    /// Reads a bitmap that cannot be trusted.
    ///
    /// - Parameters:
    ///   - bytes: The bitmap.
    ///   - rows: What takes the rows.
    ///   - isIn: Whether they are in the set from now on, or no longer.
    /// - Throws: `.corrupt` when the bytes are no bitmap of rows that there are.
    static func read(
        _ bytes: UnsafeRawBufferPointer,
        into rows: inout RowCollector,
        _ isIn: Bool
    ) throws(OmenError) {
        var reader = try Reader(bytes, rowCount: rows.rowCount)
        while let container = try reader.next() {
            switch container.content {
            case .bits(let words): rows.set(words: words, from: container.first, isIn)
            case .rows(let places):
                for index in 0..<places.count / 2 {
                    let row = container.first + Int(places.u16(index))
                    rows.set(UInt32(row), isIn)
                }
            case .runs(let runs):
                for index in 0..<runs.count / 4 {
                    let first = container.first + Int(runs.u16(index * 2))
                    rows.set(range: first..<first + Int(runs.u16(index * 2 + 1)) + 1, isIn)
                }
            }
        }
    }

    private struct Container {
        enum Content {
            case bits(UnsafeRawBufferPointer)
            case rows(UnsafeRawBufferPointer)
            case runs(UnsafeRawBufferPointer)
        }
        /// The first row that may be in it.
        var first: Int
        var content: Content
    }

    /// Goes through the containers, and hands out none that leads out of the bytes or the rows.
    private struct Reader {
        private let bytes: UnsafeRawBufferPointer
        private let rowCount: Int
        private let count: Int
        private var index = 0
        private var bitsAt = 0
        private var runsAt: Int
        private var rowsAt: Int
        private let keysAt: Int
        private var lastKey = -1

        init(_ bytes: UnsafeRawBufferPointer, rowCount: Int) throws(OmenError) {
            guard bytes.count >= 4 else { throw Self.corrupt("has \(bytes.count) bytes") }
            let header = UInt32(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: bytes.count - 4,
                    as: UInt32.self
                )
            )
            guard header & (1 << cookieBitCount - 1) == cookie else {
                throw Self.corrupt("ends with \(header)")
            }
            self.bytes = bytes
            self.rowCount = rowCount
            count = Int(header >> cookieBitCount)
            keysAt = bytes.count - 4 - count * tailByteCount
            guard keysAt >= 0 else { throw Self.corrupt("has too few bytes") }
            runsAt = 0
            rowsAt = 0
            var end = 0
            for container in 0..<count {
                let byteCount = try byteCount(container)
                end += byteCount
                if kind(container) == bitsKind { runsAt += byteCount }
                if kind(container) != rowsKind { rowsAt += byteCount }
            }
            guard end == keysAt else { throw Self.corrupt("has containers of other sizes") }
        }

        private func kind(_ container: Int) -> UInt8 { bytes[keysAt + count * 4 + container] }

        private func counter(_ container: Int) -> Int {
            Int(bytes.u16(at: keysAt + count * 2 + container * 2))
        }

        private func byteCount(_ container: Int) throws(OmenError) -> Int {
            switch kind(container) {
            case bitsKind: return bitsByteCount
            case rowsKind: return (counter(container) + 1) * 2
            case runsKind: return counter(container) * 4
            default: throw Self.corrupt("has a container of kind \(kind(container))")
            }
        }

        mutating func next() throws(OmenError) -> Container? {
            guard index < count else { return nil }
            let key = Int(bytes.u16(at: keysAt + index * 2))
            guard key > lastKey else { throw Self.corrupt("has containers out of order") }
            lastKey = key
            let byteCount = try byteCount(index)
            let first = key * containerRowCount
            let room = rowCount - first
            let container = try take(kind(index), byteCount, first, room)
            index += 1
            return container
        }

        private mutating func take(
            _ kind: UInt8,
            _ byteCount: Int,
            _ first: Int,
            _ room: Int
        ) throws(OmenError) -> Container {
            func slice(_ at: Int) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: bytes[at..<at + byteCount])
            }
            switch kind {
            case bitsKind:
                let words = slice(bitsAt)
                bitsAt += byteCount
                guard room >= containerRowCount || words.isClear(from: max(room, 0)) else {
                    throw Self.corrupt("has rows behind the last")
                }
                return Container(first: first, content: .bits(words))
            case rowsKind:
                let rows = slice(rowsAt)
                rowsAt += byteCount
                guard
                    room >= containerRowCount
                        || (0..<byteCount / 2).allSatisfy({ Int(rows.u16($0)) < room })
                else { throw Self.corrupt("has rows behind the last") }
                return Container(first: first, content: .rows(rows))
            default:
                let runs = slice(runsAt)
                runsAt += byteCount
                let end = min(room, containerRowCount)
                for run in 0..<byteCount / 4 {
                    guard Int(runs.u16(run * 2)) + Int(runs.u16(run * 2 + 1)) < end else {
                        throw Self.corrupt("has rows behind the last")
                    }
                }
                return Container(first: first, content: .runs(runs))
            }
        }

        private static func corrupt(_ what: String) -> OmenError {
            OmenError(.corrupt, "a bitmap of the metadata catalog \(what)")
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The little-endian number that stands at a place.
    ///
    /// - Parameter offset: Where, in bytes.
    /// - Returns: The number.
    func u16(at offset: Int) -> UInt16 {
        UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    fileprivate func u16(_ index: Int) -> UInt16 { u16(at: index * 2) }

    /// Whether no bit from `first` on is set.
    fileprivate func isClear(from first: Int) -> Bool {
        guard first < count * 8 else { return true }
        let byte = first / 8
        guard self[byte] >> UInt8(first % 8) == 0 else { return false }
        return self[(byte + 1)...].allSatisfy { $0 == 0 }
    }
}
