package import OmenCore
internal import OmenIndex
internal import OmenSystem
internal import Synchronization

/// A build of a collection: new parts from its live rows, while the old parts go on.
///
/// The owner of the collection begins it, runs `work` on any thread, gives its output back, calls
/// `catchUp` until nothing is left, and then `finish` before the next write. Rows below the count
/// at the beginning never change, so the work reads the memory that goes on answering searches.
package final class CollectionRebuild {
    package let collection: ShardCollection
    package let work: RebuildWork
    /// Memory that it takes in all.
    private let need: BuildNeed
    /// Rows of the collection when it began; the work copies the rows that were live then.
    let capturedRowCount: Int
    private var output: RebuildWork.Output?
    /// Old row of each row of the output.
    private var sourceRows: [UInt32] = []
    /// The next old row to take in.
    private var nextRow: Int

    /// - Throws: `.resourceExhausted` without address space or memory for the work.
    package init(_ collection: ShardCollection) throws(OmenError) {
        need = collection.parts.buildNeed
        self.collection = collection
        capturedRowCount = collection.rowCount
        nextRow = collection.rowCount
        work = RebuildWork(
            job: collection.index.rebuildJob(),
            others: collection.parts.copying
        )
    }

    /// Whether the work is done and `catchUp` has been or is to be called.
    var isCatchingUp: Bool { output != nil }

    /// Whether no row waits to be taken in.
    var isCaughtUp: Bool { nextRow == collection.rowCount }

    /// Memory that it may still take.
    ///
    /// The copy is made before the first thousandth; what comes after it is not told apart.
    var outstandingByteCount: Int {
        if isCatchingUp { return 0 }
        return work.permille > 0 ? need.total - need.copyByteCount : need.total
    }

    /// Takes what the work made.
    package func take(_ output: RebuildWork.Output) {
        self.output = output
        sourceRows = output.sourceRows
    }

    /// Takes up to `count` of the rows in that were appended since it began.
    ///
    /// - Returns: Whether nothing is left.
    /// - Throws: `.resourceExhausted` when a new part takes no more; the build is then of no use.
    package func catchUp(atMost count: Int) throws(OmenError) -> Bool {
        guard let output else { preconditionFailure("catching up before the work is done") }
        let end = min(nextRow + count, collection.rowCount)
        let live = (nextRow..<end).map { UInt32($0) }.filter { !collection.index.isDeleted($0) }
        nextRow = end
        try output.parts.append(live, of: collection.parts)
        sourceRows += live
        // What was accepted must not fail in the new parts, either.
        if isCaughtUp { try output.parts.makeRoom(for: collection.promised) }
        return isCaughtUp
    }

    /// Deletes what was deleted since it began, and puts the new parts in the place of the old.
    ///
    /// - Precondition: `catchUp` just said that nothing is left; no checkpoint is running.
    /// - Complexity: O(rows) bit tests: some 2 ms for a million.
    package func finish() {
        guard let output, isCaughtUp else {
            preconditionFailure("finishing before everything is taken in")
        }
        let index = output.parts.index
        var deleted: [UInt32] = []
        for (row, source) in sourceRows.enumerated() where collection.index.isDeleted(source) {
            // A row whose id was written again is hidden already.
            if !index.isDeleted(UInt32(row)) { deleted.append(UInt32(row)) }
        }
        output.parts.delete(rows: deleted)
        // A newer one than it was calibrated with makes another build due.
        index.sample = collection.index.sample
        collection.adopt(output.parts)
    }
}

/// The part of a rebuild that may run on any thread, once.
package struct RebuildWork: Sendable {
    /// New parts, handed from the thread that made them to the owner.
    package struct Output: @unchecked Sendable {
        let parts: CollectionParts
        let sourceRows: [UInt32]
    }

    private final class Pulse: Sendable {
        let permille = Atomic<Int>(0)
        let shouldStop = Atomic<Bool>(false)
        let isUrgent = Atomic<Bool>(false)
        /// Whether it waits for another build's turn to end.
        let isHeldBack = Atomic<Bool>(false)

        var isStopped: Bool { shouldStop.load(ordering: .relaxed) }
    }

    private let job: RebuildJob
    private let others: CollectionParts.Copying
    private let pulse = Pulse()

    init(job: RebuildJob, others: CollectionParts.Copying) {
        self.job = job
        self.others = others
    }

    /// Thousandths done.
    package var permille: Int { pulse.permille.load(ordering: .relaxed) }

    /// Whether it does not rest while searches come in; may change while it runs.
    var isUrgent: Bool {
        get { pulse.isUrgent.load(ordering: .relaxed) }
        nonmutating set { pulse.isUrgent.store(newValue, ordering: .relaxed) }
    }

    /// Makes `run` return nil soon.
    package func stop() { pulse.shouldStop.store(true, ordering: .relaxed) }

    /// Does it.
    ///
    /// - Parameters:
    ///   - brake: What holds it back; nil to go as fast as possible.
    ///   - helperCount: Threads besides this one that build, unless searches come in.
    /// - Returns: Nil when it was stopped.
    /// - Throws: `.resourceExhausted`.
    package func run(
        _ brake: BuildBrake? = nil,
        helperCount: Int = 0
    ) throws(OmenError) -> Output? {
        let pulse = pulse
        let breathe: () -> Void = {
            guard let brake else { return }
            brake.breathe(
                rests: !isUrgent,
                shouldStop: {
                    pulse.isHeldBack.store(true, ordering: .relaxed)
                    return pulse.isStopped
                }
            )
            pulse.isHeldBack.store(false, ordering: .relaxed)
        }
        let held = brake.map { ($0.searches, $0.time) }
        let rebuilt = try job.run(
            helpers: BuildHelpers(count: helperCount) { helper(held?.0, held?.1 ?? .system) },
            progress: { pulse.permille.store($0, ordering: .relaxed) },
            shouldStop: {
                breathe()
                return pulse.isStopped
            }
        )
        guard let rebuilt else { return nil }
        return Output(
            parts: try others.run(rebuilt.index, rebuilt.sourceRows, breathe: breathe),
            sourceRows: rebuilt.sourceRows
        )
    }

    /// Rests as the leading thread does, and takes nothing new while searches come in or that one
    /// waits.
    private func helper(
        _ searches: BuildBrake.Searches?,
        _ time: TimeSource
    ) -> BuildHelpers.Helper {
        let brake = searches.map { BuildBrake($0, turnPath: nil, time: time) }
        let pulse = pulse
        return BuildHelpers.Helper(
            mayGoOn: {
                !pulse.isHeldBack.load(ordering: .relaxed)
                    && (isUrgent || brake?.areSearchesExpected() != true)
            },
            shouldStop: {
                brake?.breathe(rests: !isUrgent, shouldStop: { pulse.isStopped })
                while pulse.isHeldBack.load(ordering: .relaxed), !pulse.isStopped {
                    brake?.waitForTurn()
                }
                return pulse.isStopped
            }
        )
    }
}
