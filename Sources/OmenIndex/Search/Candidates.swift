internal import COmenKernels

/// A sorted list of at most `width` candidates that a search may return, and the hidden ones among
/// them.
///
/// Each entry is one word, so that keeping order is comparing integers:
///
///     63      32 31     1 0
///     distance   row      mark
///
/// The distance is an order-preserving image of the float; the mark says "expanded" while searching
/// and "pinned" while pruning. Hidden rows are entries like others, because they lead on, but do
/// not count towards `width`; `capacity` bounds them.
struct Candidates {
    /// The bit of a key that says "expanded" or "pinned".
    static let mark: UInt64 = 1

    private(set) var keys: UnsafeMutablePointer<UInt64>
    private var allocated: Int
    var count = 0
    private(set) var liveCount = 0
    private(set) var width = 0
    private(set) var capacity = 0

    private let rank = Kernels.best.pointee.rank
    private let admit = Kernels.best.pointee.admit

    init(reserving count: Int) {
        allocated = count
        keys = .allocate(capacity: count)
    }

    func deallocate() { keys.deallocate() }

    /// Empties the list and sets its bounds.
    ///
    /// - Precondition: `capacity >= width > 0`.
    mutating func reset(width: Int, capacity: Int) {
        precondition(width > 0 && capacity >= width, "width \(width), capacity \(capacity)")
        // Entries are inserted before the last is dropped.
        let needed = capacity + Int(OMEN_BEAM_SLACK)
        if needed > allocated {
            keys.deallocate()
            allocated = needed
            keys = .allocate(capacity: allocated)
        }
        self.width = width
        self.capacity = capacity
        count = 0
        liveCount = 0
    }

    @inline(__always)
    static func key(_ distance: Float, _ row: UInt32) -> UInt64 {
        let bits = distance.bitPattern
        let ordered = bits ^ (UInt32(bitPattern: Int32(bitPattern: bits) >> 31) | 0x8000_0000)
        return UInt64(ordered) << 32 | UInt64(row) << 1
    }

    /// Whether the entry was expanded, or its link is pinned.
    @inline(__always)
    static func isMarked(_ key: UInt64) -> Bool { key & mark != 0 }

    @inline(__always)
    static func row(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key) >> 1 }

    @inline(__always)
    static func distance(_ key: UInt64) -> Float {
        let ordered = UInt32(truncatingIfNeeded: key >> 32)
        let flip: UInt32 = ordered & 0x8000_0000 != 0 ? 0x8000_0000 : 0xFFFF_FFFF
        return Float(bitPattern: ordered ^ flip)
    }

    /// Keys at or above this cannot enter.
    @inline(__always)
    var bound: UInt64 {
        liveCount == width || count == capacity ? keys[count &- 1] & ~Self.mark : .max
    }

    /// The position of the first entry above `key`.
    ///
    /// Counting all smaller keys has no branch to mispredict, and beats halving up to hundreds;
    /// beyond, halving first narrows the range down.
    /// - Complexity: O(log count).
    @inline(__always)
    private func position(of key: UInt64) -> Int {
        var low = 0
        var length = count
        while length > 128 {
            let half = length >> 1
            if keys[low &+ half &- 1] < key { low &+= half }
            length &-= half
        }
        return low &+ rank(keys + low, length, key)
    }

    /// Inserts an entry below `bound` that may be returned into a list without hidden ones.
    ///
    /// - Returns: Its position.
    @inline(__always)
    mutating func insertLive(_ key: UInt64) -> Int {
        let at = position(of: key)
        let last = count == width ? count &- 1 : count
        (keys + at + 1).update(from: keys + at, count: last &- at)
        keys[at] = key
        count = last &+ 1
        liveCount = count
        return at
    }

    /// The same for an entry that may be there already; then nothing changes.
    @inline(__always)
    mutating func insertNew(_ key: UInt64) {
        let at = position(of: key)
        if at < count, keys[at] & ~Self.mark == key { return }
        _ = insertLive(key)
    }

    /// Appends a live entry above all others to a list with room for it.
    @inline(__always)
    mutating func append(_ key: UInt64) {
        keys[count] = key
        count &+= 1
        liveCount = count
    }

    /// Inserts those of `rowCount` new live rows that are near enough into a list that holds no
    /// hidden ones, and asks for the links of these.
    ///
    /// - Returns: The least position that changed; `count` as it was before when none did.
    @inline(__always)
    mutating func admitLive(
        _ distances: UnsafePointer<Float>,
        _ rows: UnsafePointer<UInt32>,
        _ rowCount: Int,
        links: UnsafePointer<UInt32>,
        slots: Int
    ) -> Int {
        var beam = omen_beam(keys: keys, count: count, width: width, lowest: count)
        admit(&beam, distances, rows, rowCount, links, slots)
        count = beam.count
        liveCount = count
        return beam.lowest
    }

    /// Inserts any entry below `bound`.
    ///
    /// - Returns: Its position.
    mutating func insert(_ key: UInt64, _ mask: RowMask) -> Int {
        let at = position(of: key)
        (keys + at + 1).update(from: keys + at, count: count &- at)
        keys[at] = key
        count &+= 1
        if !mask.hides(Self.row(key)) { liveCount &+= 1 }
        if count > capacity { dropLast(mask) }
        // Nothing beyond the width-th live entry can lead to a better one.
        while liveCount > width { dropLast(mask) }
        while liveCount == width, mask.hides(Self.row(keys[count &- 1])) { dropLast(mask) }
        return at
    }

    private mutating func dropLast(_ mask: RowMask) {
        count &-= 1
        if !mask.hides(Self.row(keys[count])) { liveCount &-= 1 }
    }
}

extension UnsafePointer<UInt64> {
    /// Bit `index` of a bit set.
    @inline(__always)
    func bit(_ index: UInt32) -> Bool {
        self[Int(index >> 6)] >> UInt64(index & 63) & 1 != 0
    }
}
