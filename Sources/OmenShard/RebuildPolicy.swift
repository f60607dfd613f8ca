/// Decides when a collection's index is built anew, from all its live rows at once.
///
/// That links many rows several times faster than one by one, and reclaims dead ones. It costs all
/// rows' worth of work, so it waits for a share of them; and it waits for a pause between writes,
/// because what is written during a build has to be taken in after it. A tick is one call of
/// `next`; the owner calls it every `interval`.
package struct RebuildPolicy {
    /// Time between two ticks.
    package static let interval = Duration.milliseconds(50)
    /// Fewer hot rows than this are linked one by one: searches scan them in well under 0.1 ms.
    package static let hotRowCountMin = 8192
    /// Fewer rows than this are not worth reclaiming.
    static let rowCountMin = 1024
    /// Ticks after which a due rebuild no longer waits for a pause: two seconds.
    static let patienceTickCount = 40
    /// Ticks before a rebuild that failed is tried again: ten seconds.
    static let retryTickCount = 200

    /// The counts that decide.
    struct Shape {
        var rowCount: Int
        var linkedCount: Int
        var deletedCount: Int
        /// Whether more rows are known to come: building without them would be wasted.
        var awaitsRows = false

        /// The shape with so many hot rows more.
        func adding(_ count: Int) -> Shape {
            var shape = self
            shape.rowCount += count
            return shape
        }
    }

    private let hotRowCountMin: Int
    private var lastAppliedLSN: UInt64 = 0
    /// Ticks that each due collection has waited.
    private var waited: [String: Int] = [:]
    /// Ticks left before a failed collection is looked at again.
    private var resting: [String: Int] = [:]

    /// - Parameter hotRowCountMin: Hot rows that are worth a rebuild.
    init(hotRowCountMin: Int = Self.hotRowCountMin) { self.hotRowCountMin = hotRowCountMin }

    /// Whether over a quarter of the rows are hot, or over a fifth dead.
    func isDue(_ shape: Shape) -> Bool {
        let hot = shape.rowCount - shape.linkedCount
        return (hot >= hotRowCountMin && hot * 4 > shape.rowCount)
            || (shape.rowCount >= Self.rowCountMin && shape.deletedCount * 5 > shape.rowCount)
    }

    /// Whether linking `name` row by row would be wasted: it is about to be built anew.
    ///
    /// Asked whenever rows are appended, so that it does not depend on when the next tick comes.
    func isDue(_ name: String, _ shape: Shape) -> Bool { isDue(shape) && resting[name] == nil }

    /// Puts a collection off whose rebuild failed.
    mutating func rebuildFailed(_ name: String) { resting[name] = Self.retryTickCount }

    /// One tick.
    ///
    /// - Parameters:
    ///   - shapes: All collections, those that shall come first first.
    ///   - appliedLSN: The last operation applied.
    /// - Returns: The collections that may be built now, the first one first.
    mutating func next(
        _ shapes: [(name: String, shape: Shape)],
        appliedLSN: UInt64
    ) -> [String] {
        let isQuiet = appliedLSN == lastAppliedLSN
        lastAppliedLSN = appliedLSN
        resting = resting.mapValues { $0 - 1 }.filter { $0.value > 0 }
        var stillWaiting: [String: Int] = [:]
        for (name, shape) in shapes where isDue(name, shape) {
            stillWaiting[name] = (waited[name] ?? -1) + 1
        }
        waited = stillWaiting
        return shapes.filter { name, shape in
            guard !shape.awaitsRows, let ticks = stillWaiting[name] else { return false }
            return isQuiet || ticks >= Self.patienceTickCount
        }.map(\.name)
    }

    /// Whether a build under way is better begun again.
    ///
    /// Most rows came after it began, and most of it is still to do. Every new beginning needs
    /// twice the rows, so that ends.
    static func isOutgrown(capturedRowCount: Int, rowCount: Int, permille: Int) -> Bool {
        rowCount >= 2 * capturedRowCount && permille < 500
    }
}
