internal import Glibc

/// Where the time of a bulk build went, in seconds of processor time of the thread that leads it.
package struct BuildTimes: Sendable {
    /// Copying the rows, training the quantizer, writing codes.
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

/// Measures the steps of a build on the thread that leads it.
struct BuildClock {
    var times = BuildTimes()
    private var last = Self.now

    /// Adds the time since the last call to a step.
    mutating func lap(_ step: WritableKeyPath<BuildTimes, Double>) {
        let now = Self.now
        times[keyPath: step] += now - last
        last = now
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
