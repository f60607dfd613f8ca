/// Tells how far a bulk build is, and asks whether to go on.
final class BulkPulse {
    private let progress: (Double) -> Void
    private let shouldStop: () -> Bool
    private let total: Double
    private var done = 0.0

    /// - Parameters:
    ///   - total: Units of work of the whole build, roughly.
    ///   - progress: Called with the share done.
    ///   - shouldStop: Whether to end the build.
    init(total: Double, progress: @escaping (Double) -> Void, shouldStop: @escaping () -> Bool) {
        self.total = max(1, total)
        self.progress = progress
        self.shouldStop = shouldStop
    }

    /// Notes that `units` of work come next, and reports those before.
    func advance(_ units: Int) throws(BulkEnd) {
        progress(min(1, done / total))
        done += Double(units)
        try check()
    }

    func check() throws(BulkEnd) {
        if shouldStop() { throw .stopped }
    }
}
