internal import Synchronization

/// Tells how far a bulk build is, and asks whether to go on; one for each of its threads.
final class BuildProgress {
    /// Units done by all threads.
    private final class Units: Sendable {
        let total: Double
        let done = Atomic<Int>(0)

        init(total: Double) { self.total = max(1, total) }
    }

    private let units: Units
    private let progress: (Int) -> Void
    private let shouldStop: () -> Bool

    /// - Parameters:
    ///   - total: Units of work of the whole build, roughly.
    ///   - progress: Receives thousandths done.
    ///   - shouldStop: Asked at every `advance` and `check`.
    convenience init(
        total: Double,
        progress: @escaping (Int) -> Void,
        shouldStop: @escaping () -> Bool
    ) {
        self.init(Units(total: total), progress, shouldStop)
    }

    private init(
        _ units: Units,
        _ progress: @escaping (Int) -> Void,
        _ shouldStop: @escaping () -> Bool
    ) {
        self.units = units
        self.progress = progress
        self.shouldStop = shouldStop
    }

    /// One for a helper, whose work counts and is told by the leader.
    func helper(shouldStop: @escaping () -> Bool) -> BuildProgress {
        BuildProgress(units, { _ in }, shouldStop)
    }

    /// Notes that `count` units of work come next, and reports those before.
    func advance(_ count: Int) throws(BuildEnd) {
        let done = units.done.add(count, ordering: .relaxed).oldValue
        progress(Int(min(1, Double(done) / units.total) * 1000))
        try check()
    }

    func check() throws(BuildEnd) {
        if shouldStop() { throw .stopped }
    }
}
