/// Hot rows on their way into the graph together, and what is decided about each so far.
///
/// A plan only: nothing of it is in the graph, so it may be dropped at any moment, and its rows are
/// hot as before. It is linked row by row, each as complete as any other, so the graph and the
/// watermark agree after every step. Rows are known by their index within the batch.
final class LinkBatch {
    enum LinkStep {
        /// Finding each row's place in the upper levels, in the order of rows.
        case locating
        /// Choosing links for each row, neighbours in space one after the other.
        case choosing
        /// Writing links, in the order of rows.
        case linking
    }

    /// Where a row's search begins.
    struct Place {
        /// Where the walk down came onto the lowest three levels, the highest of them first: rows
        /// with like keys are near each other.
        var key: UInt64
        /// Row on level 0 where the walk down ended.
        var start: UInt32
        var index: UInt32
    }

    /// Stands for the number of links of a row that has to wait for others of its batch.
    static let undecided = UInt32.max

    let firstRow: Int
    let count: Int
    /// Most links chosen for a row.
    let linkCountMax: Int
    /// Rows that a search for links expands.
    let width: Int
    /// Rows that it keeps to choose from.
    let keptCount: Int
    var phase = LinkStep.locating
    /// Rows done in this phase.
    var position = 0
    /// In the order of rows while locating, in the order of keys after.
    let places: UnsafeMutableBufferPointer<Place>
    /// `[count][linkCountMax]` rows, nearest first.
    private let chosen: UnsafeMutablePointer<UInt32>
    /// Links chosen, or `undecided`.
    let chosenCounts: UnsafeMutablePointer<UInt32>
    /// A linked row near by: the nearest found, or where to begin while undecided.
    let nearest: UnsafeMutablePointer<UInt32>
    /// Whether the search for the row began far off: see `VectorIndex.isStranger`.
    let isStranger: UnsafeMutablePointer<Bool>
    /// Elements clamped when the row was encoded.
    let clampedCounts: UnsafeMutablePointer<UInt32>

    init(firstRow: Int, count: Int, linkCountMax: Int, width: Int, keptCount: Int) {
        self.firstRow = firstRow
        self.count = count
        self.linkCountMax = linkCountMax
        self.width = width
        self.keptCount = keptCount
        places = .allocate(capacity: count)
        chosen = .allocate(capacity: count * linkCountMax)
        chosenCounts = .allocate(capacity: count)
        nearest = .allocate(capacity: count)
        isStranger = .allocate(capacity: count)
        isStranger.initialize(repeating: false, count: count)
        clampedCounts = .allocate(capacity: count)
        for list in [chosenCounts, nearest, clampedCounts] {
            list.initialize(repeating: 0, count: count)
        }
    }

    deinit {
        places.deallocate()
        isStranger.deallocate()
        for list in [chosen, chosenCounts, nearest, clampedCounts] { list.deallocate() }
    }

    /// The row that stays hot the longest if nothing more is done.
    var nextRow: Int { phase == .linking ? firstRow + position : firstRow }

    /// Where the chosen links of a row are.
    func chosen(_ index: Int) -> UnsafeMutablePointer<UInt32> { chosen + index * linkCountMax }

    /// Goes on to the next row, at the end of a phase to the next phase.
    ///
    /// - Returns: Whether all is linked.
    /// - Complexity: O(1), at the end of locating O(count * log(count)).
    func advance() -> Bool {
        position += 1
        guard position == count else { return false }
        switch phase {
        case .locating:
            var places = places
            places.sort { ($0.key, $0.index) < ($1.key, $1.index) }
            phase = .choosing
        case .choosing: phase = .linking
        case .linking: return true
        }
        position = 0
        return false
    }
}
