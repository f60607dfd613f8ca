import OmenCore
import OmenIndex
import OmenStorage
import OmenSystem
import Testing

@testable import OmenShard

/// A third part: the first byte of each row's vector.
///
/// It is made as an index over metadata is meant to be. Rows of a file are mapped, new ones lie in
/// a tail in memory, and a checkpoint merges both on its own thread.
final class MarkPart: DerivedPart {
    enum Section: UInt32, PartSection {
        /// Sum of the marks, `u64`.
        case state = 200
        /// One byte for each row.
        case marks = 201

        var isLazy: Bool { self == .marks }
    }

    /// What a test lets the next checkpoint write wrongly, under checksums that hold.
    enum Lie { case sum, rowCount }

    struct Rows: Sendable {
        fileprivate(set) var base: ReservedRegion?
        fileprivate(set) var baseCount = 0
        fileprivate(set) var tail: [UInt8] = []

        var count: Int { baseCount + tail.count }

        subscript(row: Int) -> UInt8 {
            guard row < baseCount, let base else { return tail[row - baseCount] }
            return base.base.load(fromByteOffset: row, as: UInt8.self)
        }

        var all: [UInt8] { (0..<count).map { self[$0] } }
    }

    static let sectionRange: ClosedRange<UInt32> = 200...207

    private(set) var rows = Rows()
    private(set) var hidden: Set<UInt32> = []
    private var frozen: FrozenMarks?
    var lie: Lie?
    /// Most rows that it takes.
    var rowCountMax = Int.max
    private(set) var capacity = 0

    init(emptyFor collection: String, schema: CollectionSchema) {}

    init(opening source: PartSource) throws(OmenError) {
        guard let byteCount = source.byteCount(of: Section.marks) else { return }
        rows.base = try source.region(of: Section.marks, byteCountMax: byteCount)
        rows.baseCount = byteCount
        guard !source.isDeferred(Section.marks), let check = sumCheck(of: source) else { return }
        try source.run(check, on: Section.marks)
    }

    var rowCount: Int { rows.count }

    func deferredCheck(of source: PartSource) -> (any SectionCheck)? {
        source.isDeferred(Section.marks) ? sumCheck(of: source) : nil
    }

    private func sumCheck(of source: PartSource) -> SumCheck? {
        let state = source.file.bytes(of: Section.state.rawValue)
        return state.map { SumCheck(expected: $0.loadUnaligned(as: UInt64.self)) }
    }

    func freeze() -> FrozenMarks {
        let frozen = FrozenMarks(rows, lie)
        self.frozen = frozen
        return frozen
    }

    func thaw() {
        defer { frozen = nil }
        guard let frozen, let base = frozen.written else { return }
        rows.base = base
        rows.tail.removeFirst(frozen.rows.tail.count)
        rows.baseCount = frozen.rows.count
    }

    func hasRoom(forRows rowCount: Int, bytes byteCount: Int) -> Bool {
        self.rowCount + rowCount <= rowCountMax
    }

    func reserve(_ promise: Promise, isAmple: Bool) throws(OmenError) {
        capacity = max(capacity, promise.rowCount)
        guard capacity <= rowCountMax else {
            throw OmenError(.resourceExhausted, "\(capacity) rows")
        }
    }

    func release(to capacity: Int) { self.capacity = capacity }

    static func residentByteCountPerRow(_ schema: CollectionSchema) -> Int { 1 }

    func append(_ batch: UpsertBatch) {
        let stride = batch.dim * batch.element.byteCount
        for place in batch.ids.indices { rows.tail.append(batch.vectors[place * stride]) }
    }

    func hide(_ rows: [UInt32]) {
        for row in rows { precondition(hidden.insert(row).inserted, "row \(row) hidden twice") }
    }

    init(copying sources: [UInt32], of rows: Rows, breathe: () -> Void) {
        for source in sources {
            breathe()
            self.rows.tail.append(rows[Int(source)])
        }
    }

    func append(_ rows: [UInt32], of other: MarkPart) {
        for row in rows { self.rows.tail.append(other.rows[Int(row)]) }
    }

    var copyByteCount: Int { rowCount - hidden.count }
}

/// The marks of a collection.
func marks(_ collection: ShardCollection) throws -> MarkPart {
    try #require(collection.parts.derived.first as? MarkPart)
}

/// Expects that each row has the mark of its own vector.
func expectMarks(
    _ collection: ShardCollection,
    _ what: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let index = collection.index
    var vector: [UInt8] = []
    let expected = (0..<index.rowCount).map { row in
        index.copyVector(UInt32(row), into: &vector)
        return vector[0]
    }
    #expect(try marks(collection).rows.all == expected, what, sourceLocation: sourceLocation)
}

/// Marks as a checkpoint writes them.
///
/// `@unchecked`: the thread of the checkpoint changes it, and is joined before the owner looks.
final class FrozenMarks: FrozenPart, @unchecked Sendable {
    let rows: MarkPart.Rows
    private let lie: MarkPart.Lie?
    private var state: [UInt64] = []
    private var merged: UnsafeMutableRawBufferPointer?
    /// The marks in the new file.
    private(set) var written: ReservedRegion?

    init(_ rows: MarkPart.Rows, _ lie: MarkPart.Lie?) {
        self.rows = rows
        self.lie = lie
    }

    deinit { merged?.deallocate() }

    func sections(breathe: () -> Void) -> [FileSection] {
        var marks = rows.all
        if lie == .rowCount { marks.removeLast() }
        let sum = marks.reduce(0) { $0 + UInt64($1) } + (lie == .sum ? 1 : 0)
        let merged = UnsafeMutableRawBufferPointer.allocate(
            byteCount: 8 + marks.count,
            alignment: 8
        )
        merged.storeBytes(of: sum, as: UInt64.self)
        UnsafeMutableRawBufferPointer(rebasing: merged[8...]).copyBytes(from: marks)
        self.merged = merged
        let bytes = UnsafeRawBufferPointer(merged)
        return [
            FileSection(MarkPart.Section.state, UnsafeRawBufferPointer(rebasing: bytes[..<8])),
            FileSection(MarkPart.Section.marks, UnsafeRawBufferPointer(rebasing: bytes[8...])),
        ].compactMap { $0 }
    }

    func release(to file: ShardFile) throws(OmenError) {
        guard rows.count > 0 else { return }
        written = try file.region(
            of: MarkPart.Section.marks.rawValue,
            byteCountMax: rows.count
        )
    }
}

private struct SumCheck: SectionCheck {
    let expected: UInt64
    private var sum: UInt64 = 0

    init(expected: UInt64) { self.expected = expected }

    mutating func add(_ bytes: UnsafeRawBufferPointer, of kind: UInt32, at offset: Int) {
        guard kind == MarkPart.Section.marks.rawValue else { return }
        for byte in bytes { sum += UInt64(byte) }
    }

    func finish() throws(OmenError) {
        guard sum == expected else {
            throw OmenError(.corrupt, "the marks add up to \(sum), expected \(expected)")
        }
    }
}
