internal import OmenCore

/// Where the time of a bulk build went, in seconds.
package struct BulkTimes: Sendable {
    /// Copying the rows, and their codes.
    package var copy = 0.0
    /// Dividing the rows into groups, and renumbering them.
    package var partition = 0.0
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
    /// The table of recalls, and linking the rows held out for it.
    package var calibration = 0.0
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
