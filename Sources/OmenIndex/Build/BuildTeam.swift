internal import OmenSystem
internal import Glibc
internal import OmenCore
internal import Synchronization

/// Threads that a rebuild may use besides the one that runs it.
package struct BuildHelpers: Sendable {
    /// What one of them asks, on its own thread.
    package struct Helper {
        let mayGoOn: () -> Bool
        let shouldStop: () -> Bool

        /// - Parameters:
        ///   - mayGoOn: Asked before each piece of work, and again after some milliseconds if not.
        ///   - shouldStop: Called every few microseconds while work runs. It may block, to yield
        ///     the processor to others. After it returned true the build is stopped.
        package init(mayGoOn: @escaping () -> Bool, shouldStop: @escaping () -> Bool) {
            self.mayGoOn = mayGoOn
            self.shouldStop = shouldStop
        }
    }

    let count: Int
    let make: @Sendable () -> Helper

    /// - Parameters:
    ///   - count: How many.
    ///   - make: Called once for each.
    package init(count: Int, _ make: @escaping @Sendable () -> Helper) {
        self.count = max(0, count)
        self.make = make
    }

    package static var none: BuildHelpers { some(0) }

    /// Helpers that nothing holds back.
    package static func some(_ count: Int) -> BuildHelpers {
        BuildHelpers(count: count) { Helper(mayGoOn: { true }, shouldStop: { false }) }
    }
}

/// The threads of one bulk build.
///
/// Its graph is nobody's yet, and in each step no two threads write the same words; what a step
/// leaves does not depend on who did which part of it.
final class BuildTeam {
    private let helpers: [BuildHelpers.Helper]
    /// One for each thread; that of the leader is the first.
    let pulses: [BuildProgress]

    init(_ pulse: BuildProgress, _ helpers: BuildHelpers) {
        self.helpers = (0..<helpers.count).map { _ in helpers.make() }
        pulses = [pulse] + self.helpers.map { pulse.helper(shouldStop: $0.shouldStop) }
    }

    var threadCount: Int { pulses.count }

    /// Parts that a step with `count` members is divided into: one for one thread, and otherwise so
    /// many that none waits long for another.
    func partCount(_ count: Int) -> Int {
        threadCount == 1 ? 1 : min(16 * threadCount, max(1, count / Self.partSizeMin))
    }

    /// Parts that each look at all members, which costs some time for each.
    func stripeCount(_ count: Int) -> Int { min(partCount(count), threadCount, Self.stripesMax) }

    private static let partSizeMin = 256
    private static let stripesMax = 8

    /// Makes for each thread what only it may touch.
    func forEachThread<Value>(
        _ make: (BuildProgress) throws(BuildEnd) -> Value
    ) throws(BuildEnd) -> [Value] {
        var made: [Value] = []
        for pulse in pulses { made.append(try make(pulse)) }
        return made
    }

    /// Runs `work` for every piece below `pieceCount`, on any thread and in any order; returns when
    /// all are done.
    ///
    /// When the system refuses a thread, the threads that did start do its share.
    /// - Parameters:
    ///   - pieceCount: At least 0.
    ///   - work: Receives the number of its thread, and of the piece.
    /// - Throws: What `work` throws first; then pieces are left out.
    func share(
        _ pieceCount: Int,
        _ work: @escaping (_ thread: Int, _ piece: Int) throws(BuildEnd) -> Void
    ) throws(BuildEnd) {
        let step = Step(pieceCount, work)
        var threads: [BackgroundThread] = []
        for number in 1..<max(1, min(threadCount, pieceCount)) {
            let helper = LentHelper(helpers[number - 1])
            do throws(OmenError) {
                threads.append(
                    try BackgroundThread { step.help(helper.value, asThread: number) }
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
        _ work: @escaping (_ thread: Int, Range<Int>) throws(BuildEnd) -> Void
    ) throws(BuildEnd) {
        try share(partCount) { thread, part throws(BuildEnd) in
            try work(thread, Self.part(part, of: partCount, count))
        }
    }

    /// Part number `part` of `0..<count`.
    static func part(_ part: Int, of partCount: Int, _ count: Int) -> Range<Int> {
        part * count / partCount..<(part + 1) * count / partCount
    }
}

/// A helper on its way to its thread, which nobody else uses meanwhile.
private struct LentHelper: @unchecked Sendable {
    let value: BuildHelpers.Helper

    init(_ value: BuildHelpers.Helper) { self.value = value }
}

/// One step of a build; `@unchecked` as its work keeps the threads apart itself.
private final class Step: @unchecked Sendable {
    private let pieceCount: Int
    private let work: (_ thread: Int, _ piece: Int) throws(BuildEnd) -> Void
    private let next = Atomic<Int>(0)
    private let firstEnd = Mutex<BuildEnd?>(nil)

    init(
        _ pieceCount: Int,
        _ work: @escaping (_ thread: Int, _ piece: Int) throws(BuildEnd) -> Void
    ) {
        self.pieceCount = pieceCount
        self.work = work
    }

    var end: BuildEnd? { firstEnd.withLock { $0 } }

    /// Takes pieces while there are some and the helper may.
    func help(_ helper: BuildHelpers.Helper, asThread thread: Int) {
        while next.load(ordering: .relaxed) < pieceCount {
            if helper.mayGoOn() {
                _ = takePiece(asThread: thread)
            } else {
                usleep(Self.pollMicroseconds)
            }
        }
    }

    private static let pollMicroseconds: UInt32 = 2000

    /// - Returns: False when no piece was left.
    func takePiece(asThread thread: Int) -> Bool {
        let piece = next.add(1, ordering: .relaxed).oldValue
        guard piece < pieceCount else { return false }
        do throws(BuildEnd) {
            try work(thread, piece)
            return true
        } catch {
            next.store(pieceCount, ordering: .relaxed)
            firstEnd.withLock { $0 = $0 ?? error }
            return false
        }
    }
}
