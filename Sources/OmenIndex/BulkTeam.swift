internal import OmenCore
internal import Synchronization

/// Threads that a rebuild may use besides the one that runs it.
package struct BuildHelpers: Sendable {
    let count: Int
    let mayGoOn: @Sendable () -> Bool
    let shouldStop: @Sendable () -> Bool

    /// - Parameters:
    ///   - count: Most threads.
    ///   - mayGoOn: Each asks before each piece of work, many of which take some milliseconds and
    ///     some seconds; after a false it leaves the step of the build to the others.
    ///   - shouldStop: Each asks in the midst of its work; after a true the build is stopped.
    package init(
        count: Int,
        mayGoOn: @escaping @Sendable () -> Bool = { true },
        shouldStop: @escaping @Sendable () -> Bool = { false }
    ) {
        self.count = max(0, count)
        self.mayGoOn = mayGoOn
        self.shouldStop = shouldStop
    }

    package static var none: BuildHelpers { BuildHelpers(count: 0) }
}

/// The threads of one bulk build.
///
/// Its graph is nobody's yet, and in each step no two threads write the same words; what a step
/// leaves does not depend on who did which part of it.
final class BulkTeam {
    private let helpers: BuildHelpers
    /// One for each thread; that of the leader is the first.
    let pulses: [BulkPulse]

    init(_ pulse: BulkPulse, _ helpers: BuildHelpers) {
        self.helpers = helpers
        pulses =
            [pulse]
            + (0..<helpers.count).map { _ in
                pulse.helper(shouldStop: helpers.shouldStop)
            }
    }

    var threadCount: Int { pulses.count }

    /// Parts that a step is divided into: one for one thread, and otherwise so many that none waits
    /// long for another; what is found in so many groups at once is kept for a while.
    var partCount: Int { threadCount == 1 ? 1 : min(16 * threadCount, 256) }

    /// Makes for each thread what only it may touch.
    func forEachThread<Value>(
        _ make: (BulkPulse) throws(BulkEnd) -> Value
    ) throws(BulkEnd) -> [Value] {
        var made: [Value] = []
        for pulse in pulses { made.append(try make(pulse)) }
        return made
    }

    /// Runs `work` for every piece below `pieceCount`, on any thread and in any order; returns when
    /// all are done.
    ///
    /// Where the system refuses threads, those that there are do more.
    /// - Parameters:
    ///   - pieceCount: At least 0.
    ///   - work: Receives the number of its thread, and of the piece.
    /// - Throws: What `work` throws first; then pieces are left out.
    func share(
        _ pieceCount: Int,
        _ work: @escaping (_ thread: Int, _ piece: Int) throws(BulkEnd) -> Void
    ) throws(BulkEnd) {
        let step = Step(pieceCount, work)
        let mayGoOn = helpers.mayGoOn
        var threads: [BackgroundThread] = []
        for number in 1..<max(1, min(threadCount, pieceCount)) where mayGoOn() {
            do throws(OmenError) {
                threads.append(
                    try BackgroundThread { while mayGoOn(), step.takePiece(asThread: number) {} }
                )
            } catch { break }
        }
        while step.takePiece(asThread: 0) {}
        for thread in threads { thread.join() }
        if let end = step.end { throw end }
    }

    /// Runs `work` for parts of `0..<count`, as `share` does.
    ///
    /// - Parameters:
    ///   - count: At least 0.
    ///   - partCount: Parts, all of about the same size.
    ///   - work: Receives the number of its thread, and the part.
    /// - Throws: What `work` throws first.
    func share(
        _ count: Int,
        inParts partCount: Int,
        _ work: @escaping (_ thread: Int, Range<Int>) throws(BulkEnd) -> Void
    ) throws(BulkEnd) {
        try share(partCount) { thread, part throws(BulkEnd) in
            try work(thread, Self.part(part, of: partCount, count))
        }
    }

    /// Part number `part` of `0..<count`.
    static func part(_ part: Int, of partCount: Int, _ count: Int) -> Range<Int> {
        part * count / partCount..<(part + 1) * count / partCount
    }
}

/// One step of a build; `@unchecked` as its work keeps the threads apart itself.
private final class Step: @unchecked Sendable {
    private let pieceCount: Int
    private let work: (_ thread: Int, _ piece: Int) throws(BulkEnd) -> Void
    private let next = Atomic<Int>(0)
    private let firstEnd = Mutex<BulkEnd?>(nil)

    init(
        _ pieceCount: Int,
        _ work: @escaping (_ thread: Int, _ piece: Int) throws(BulkEnd) -> Void
    ) {
        self.pieceCount = pieceCount
        self.work = work
    }

    var end: BulkEnd? { firstEnd.withLock { $0 } }

    /// - Returns: False when no piece was left.
    func takePiece(asThread thread: Int) -> Bool {
        let piece = next.add(1, ordering: .relaxed).oldValue
        guard piece < pieceCount else { return false }
        do throws(BulkEnd) {
            try work(thread, piece)
            return true
        } catch {
            next.store(pieceCount, ordering: .relaxed)
            firstEnd.withLock { $0 = $0 ?? error }
            return false
        }
    }
}
