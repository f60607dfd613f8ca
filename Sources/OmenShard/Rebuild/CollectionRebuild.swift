package import OmenCore
internal import OmenIndex
internal import Synchronization

/// A collection's index and records built anew, while the old ones go on.
///
/// The owner of the collection begins it, runs `work` on any thread, gives its output back, calls
/// `catchUp` until nothing is left, and then `finish` in the same breath. Rows below the count at
/// the beginning never change, so the work reads the very memory that goes on answering searches.
package final class CollectionRebuild {
    package let collection: ShardCollection
    package let work: RebuildWork
    /// Memory that it takes in all.
    private let need: BuildNeed
    /// Rows of the collection when it began; the work takes in those that were alive then.
    let capturedRowCount: Int
    private var output: RebuildWork.Output?
    /// Old row of each row of the output's index.
    private var sourceRows: [UInt32] = []
    /// The next old row to take in.
    private var nextRow: Int

    /// - Throws: `.resourceExhausted` without address space or memory for the work.
    package init(_ collection: ShardCollection) throws(OmenError) {
        need = collection.buildNeed
        self.collection = collection
        capturedRowCount = collection.rowCount
        nextRow = collection.rowCount
        work = RebuildWork(
            job: collection.index.rebuildJob(),
            records: collection.records.rows
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
    /// - Throws: `.resourceExhausted` when the new index takes no more; then it is of no use.
    package func catchUp(atMost count: Int) throws(OmenError) -> Bool {
        guard let output else { preconditionFailure("catching up before the work is done") }
        let end = min(nextRow + count, collection.rowCount)
        while nextRow < end {
            let row = UInt32(nextRow)
            nextRow += 1
            guard !collection.index.isDeleted(row) else { continue }
            let replaced = try output.records.append(row, of: collection.records)
            let newRow = try output.index.append(row, of: collection.index)
            precondition(Int(newRow) == output.records.rowCount - 1, "rows of index and records")
            if let replaced { output.index.markDeleted(replaced) }
            sourceRows.append(row)
        }
        // What was accepted must not fail in the new index, either.
        if isCaughtUp { try collection.promised.reserve(output.index, output.records) }
        return isCaughtUp
    }

    /// Hides what was deleted since it began and puts the new index in the place of the old.
    ///
    /// - Precondition: `catchUp` just said that nothing is left; no checkpoint is running.
    /// - Complexity: O(rows) bit tests: some 2 ms for a million.
    package func finish() {
        guard let output, isCaughtUp else {
            preconditionFailure("finishing before everything is taken in")
        }
        for (row, source) in sourceRows.enumerated() where collection.index.isDeleted(source) {
            let row = UInt32(row)
            // A row whose id was written again is hidden already.
            guard !output.index.isDeleted(row) else { continue }
            output.index.markDeleted(row)
            _ = output.records.remove(output.records.id(of: row))
        }
        // A newer one than it was calibrated with makes another build due.
        output.index.sample = collection.index.sample
        collection.adopt(index: output.index, records: output.records)
    }
}

/// The part of a rebuild that may run on any thread, once.
package struct RebuildWork: Sendable {
    /// A new index and its records, handed from the thread that made them to the owner.
    package struct Output: @unchecked Sendable {
        let index: VectorIndex
        let records: RecordTable
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
    private let records: RecordTable.Rows
    private let pulse = Pulse()

    init(job: RebuildJob, records: RecordTable.Rows) {
        self.job = job
        self.records = records
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
        let searches = brake?.searches
        let rebuilt = try job.run(
            helpers: BuildHelpers(count: helperCount) { helper(searches) },
            progress: { pulse.permille.store($0, ordering: .relaxed) },
            shouldStop: {
                breathe()
                return pulse.isStopped
            }
        )
        guard let rebuilt else { return nil }
        return Output(
            index: rebuilt.index,
            records: try RecordTable(
                copying: rebuilt.sourceRows,
                of: records,
                breathe: breathe
            ),
            sourceRows: rebuilt.sourceRows
        )
    }

    /// Rests as the leading thread does, and takes nothing new while searches come in or that one
    /// waits.
    private func helper(_ searches: BuildBrake.Searches?) -> BuildHelpers.Helper {
        let brake = searches.map { BuildBrake($0, turnPath: nil) }
        let pulse = pulse
        return BuildHelpers.Helper(
            mayGoOn: {
                !pulse.isHeldBack.load(ordering: .relaxed)
                    && (isUrgent || brake?.areSearchesExpected() != true)
            },
            shouldStop: {
                brake?.breathe(rests: !isUrgent, shouldStop: { pulse.isStopped })
                while pulse.isHeldBack.load(ordering: .relaxed), !pulse.isStopped {
                    BuildBrake.waitForTurn()
                }
                return pulse.isStopped
            }
        )
    }
}
