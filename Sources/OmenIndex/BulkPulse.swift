/// Tells how far a bulk build is, and asks whether to go on.
final class BulkPulse {
    private let progress: (Int) -> Void
    private let shouldStop: () -> Bool
    private let total: Double
    private var done = 0.0

    /// - Parameters:
    ///   - total: Units of work of the whole build, roughly.
    ///   - progress: Receives thousandths done.
    ///   - shouldStop: Asked at every `advance` and `check`.
    init(total: Double, progress: @escaping (Int) -> Void, shouldStop: @escaping () -> Bool) {
        self.total = max(1, total)
        self.progress = progress
        self.shouldStop = shouldStop
    }

    /// Notes that `units` of work come next, and reports those before.
    func advance(_ units: Int) throws(BulkEnd) {
        progress(Int(min(1, done / total) * 1000))
        done += Double(units)
        try check()
    }

    func check() throws(BulkEnd) {
        if shouldStop() { throw .stopped }
    }
}
