internal import OmenCore

/// Where the time of a bulk build went, in seconds.
package struct BulkTimes: Sendable {
    /// Codes of rows that had none.
    package var encode = 0.0
    /// Near neighbours of every row on level 0.
    package var neighbors = 0.0
    /// Choosing links among them.
    package var prune = 0.0
    /// Links back.
    package var reverse = 0.0
    /// The spanning tree.
    package var tree = 0.0
    /// All upper levels.
    package var upper = 0.0
}

/// A finished graph, ready to be taken over by the index it was built for.
///
/// Immutable; hand it to `VectorIndex.finishBulkBuild` on the thread that owns the index.
package final class BulkGraph: @unchecked Sendable {
    /// Rows in the graph: all there were when the build began.
    package let rowCount: Int
    package let times: BulkTimes
    let regions: [VectorIndex.Section: ReservedRegion]
    let upperCounts: [Int]
    let entry: VectorIndex.Entry?
    let encodedCount: Int
    let clampedCount: Int

    init(
        rowCount: Int,
        times: BulkTimes,
        regions: [VectorIndex.Section: ReservedRegion],
        upperCounts: [Int],
        entry: VectorIndex.Entry?,
        encodedCount: Int,
        clampedCount: Int
    ) {
        self.rowCount = rowCount
        self.times = times
        self.regions = regions
        self.upperCounts = upperCounts
        self.entry = entry
        self.encodedCount = encodedCount
        self.clampedCount = clampedCount
    }
}

/// Measures the steps of a build.
struct BulkClock {
    var times = BulkTimes()
    private var last = ContinuousClock.now

    /// Adds the time since the last call to a step.
    mutating func lap(_ step: WritableKeyPath<BulkTimes, Double>) {
        let now = ContinuousClock.now
        times[keyPath: step] += (now - last) / .seconds(1)
        last = now
    }
}
