/// Decides when a collection's index is built again, from all its live rows at once.
///
/// That links many rows several times faster than one by one, finds better links than a row gets
/// that knows only those before it, measures how wide searches must be, and reclaims dead rows. It
/// costs all rows' worth of work, so it waits for a share of them: a collection that grows row by
/// row is built whenever it is half as large again, three times the work of one build in all. And
/// it waits for a pause between writes, because what is written during a build has to be taken in
/// after it. A tick is one call of `next`; the owner calls it every `interval`.
package struct RebuildPolicy {
    /// Time between two ticks.
    package static let interval = Duration.milliseconds(50)
    /// A collection of fewer rows is not built: searches of the usual width compare all of them.
    package static let rowCountStandard = 1024
    /// Ticks after which a due rebuild no longer waits for a pause: two seconds.
    static let patienceTickCount = 40
    /// Ticks before a rebuild that failed is tried again: ten seconds.
    static let retryTickCount = 200

    /// The counts that decide.
    struct Shape {
        var rowCount: Int
        var linkedCount: Int
        /// Rows that were linked together by a build; those after them were linked one by one.
        var builtCount: Int
        var deletedCount: Int
        /// Whether more rows are known to come: building without them would be wasted.
        var awaitsRows = false
        /// Whether it is to be calibrated with other queries than the last build was.
        var awaitsCalibration = false

        /// The shape with `count` hot rows more.
        func adding(_ count: Int) -> Shape {
            var shape = self
            shape.rowCount += count
            return shape
        }
    }

    private let rowCountMin: Int
    private var lastAppliedLSN: UInt64 = 0
    /// Ticks that each due collection has waited.
    private var waited: [String: Int] = [:]
    /// Ticks left before a failed collection is looked at again.
    private var resting: [String: Int] = [:]

    /// - Parameter rowCountMin: Rows that a collection has to have.
    init(rowCountMin: Int = Self.rowCountStandard) { self.rowCountMin = rowCountMin }

    /// Whether over a third of the rows are in no build, over a fifth dead, or searches are to be
    /// calibrated with other queries.
    func isDue(_ shape: Shape) -> Bool {
        areRowsDue(shape) || (shape.awaitsCalibration && shape.rowCount >= rowCountMin)
    }

    private func areRowsDue(_ shape: Shape) -> Bool {
        let unbuilt = shape.rowCount - shape.builtCount
        return shape.rowCount >= rowCountMin
            && (unbuilt * 3 > shape.rowCount || shape.deletedCount * 5 > shape.rowCount)
    }

    /// Whether `name` is to be built, and did not fail to be a moment ago.
    ///
    /// Depends on counts alone, so that it does not matter when the next tick comes.
    func isDue(_ name: String, _ shape: Shape) -> Bool { isDue(shape) && resting[name] == nil }

    /// Whether linking the hot rows of `name` one by one would be wasted, as a build is due.
    ///
    /// Few of them are linked nevertheless: a build may wait for a pause, and searches would have
    /// to scan them until then. A build that is due for its queries alone is not worth that.
    func isLinkingWasted(_ name: String, _ shape: Shape) -> Bool {
        let hot = shape.rowCount - shape.linkedCount
        return areRowsDue(shape) && resting[name] == nil
            && (hot * 4 > shape.rowCount || shape.deletedCount * 5 > shape.rowCount)
    }

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
