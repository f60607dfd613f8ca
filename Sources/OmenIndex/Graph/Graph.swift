internal import OmenSystem
internal import OmenCore

/// The links of an index: level 0, which has all linked rows, the levels above it, and where
/// searches begin.
///
/// HNSW: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using
/// hierarchical navigable small world graphs", 2016. The graph knows numbers of rows only; what is
/// near, scorers tell. The arrays are mapped from a file or reserved; the pointers stay valid while
/// the index lives.
final class Graph {
    let layout: RowLayout
    let seed: UInt64
    /// Rows in the graph, the first ones.
    var linkedCount = 0
    /// Rows that a build linked together, the first ones; the others were linked one by one.
    var builtCount = 0
    /// Rows that the links of the file name which the index was opened from.
    var storedLinkedCount = 0
    /// Lists of level 0, `[linkedCount][baseSlots]`; see `Link`.
    let links: UnsafeMutablePointer<UInt32>
    /// Nodes of the levels above, lowest first; see `UpperLevel`.
    let uppers: [UnsafeMutablePointer<UInt32>]
    /// Nodes on each upper level, lowest first.
    var upperCounts: [Int]
    /// Where every search begins; nil until a live row is linked.
    var entry: Entry?
    /// The longest linked rows, under ip: where searches begin besides.
    var longRows = LongRows()
    /// Rows at which searches may begin too: first the rows that a build chose, then far rows.
    var landmarks: [UInt32] = []
    /// Landmarks that a build chose.
    var chosenLandmarkCount = 0

    /// A node of the highest level.
    struct Entry: Equatable {
        /// 0 when there is no upper level.
        var level: Int
        /// Row on level 0, else index of the node on its level.
        var slot: UInt32
    }

    init(_ layout: RowLayout, seed: UInt64, links: ReservedRegion, uppers: [ReservedRegion]) {
        self.layout = layout
        self.seed = seed
        self.links = links.base.assumingMemoryBound(to: UInt32.self)
        self.uppers = uppers.map { $0.base.assumingMemoryBound(to: UInt32.self) }
        upperCounts = [Int](repeating: 0, count: uppers.count)
    }

    /// The share of the rows that were linked one by one since the last build, which searches have
    /// to be wider for; nothing where there was none.
    var newShare: Float {
        builtCount == 0 ? 0 : Float(linkedCount - builtCount) / Float(linkedCount)
    }

    /// The list of a row on level 0.
    @inline(__always)
    func baseLinks(_ row: UInt32) -> UnsafeMutablePointer<UInt32> {
        links + Int(row) &* layout.baseSlots
    }

    /// The level above level 0 with number `level`, counting from 1.
    @inline(__always)
    func upper(_ level: Int) -> UpperLevel {
        UpperLevel(
            nodes: uppers[level - 1],
            nodeWords: layout.nodeWords,
            slots: layout.upperSlots
        )
    }

    /// The highest level of a row: `level` with probability m^-level, fixed by seed and row.
    ///
    /// - Parameters:
    ///   - row: The row.
    ///   - rowCapacity: Rows that the upper levels have room for.
    /// - Returns: 0 to the number of upper levels.
    func level(of row: UInt32, rowCapacity: Int) -> Int {
        Self.level(of: row, seed: seed, m: layout.upperSlots) {
            upperCounts[$0 - 1] < layout.nodeCountMax(level: $0, of: rowCapacity)
        }
    }

    /// The highest level of a row, at most the last before one that `hasRoom` denies.
    static func level(of row: UInt32, seed: UInt64, m: Int, hasRoom: (Int) -> Bool) -> Int {
        var generator = SplitMix64(seed: seed ^ UInt64(row) &* 0x9E37_79B9_7F4A_7C15)
        var level = 0
        while level < VectorIndex.Section.uppers.count, generator.next() % UInt64(m) == 0,
            hasRoom(level + 1)
        {
            level += 1
        }
        return level
    }

    /// Adds unlinked nodes for `row` on the levels `1...level`.
    ///
    /// - Returns: The highest of them.
    func addNodes(_ row: UInt32, level: Int) -> Entry {
        var below = row
        for current in 0..<level {
            let slot = upperCounts[current]
            let node = uppers[current] + slot * layout.nodeWords
            node[0] = row
            node[1] = below
            (node + 2).update(repeating: Link.none, count: layout.upperSlots)
            upperCounts[current] += 1
            below = UInt32(slot)
        }
        return Entry(level: level, slot: below)
    }
}
