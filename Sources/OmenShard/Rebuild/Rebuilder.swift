internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// Rebuilds the collections of a shard that need it, one after the other, on a thread of its own.
///
/// Belongs to the owner of the shard; only `completed` is called on the other thread.
final class Rebuilder {
    typealias Completion = Result<RebuildWork.Output?, OmenError>

    /// Rows appended since the beginning that one row of linking stands for when catching up.
    private static let rowsPerStep = 64
    private let searches: BuildBrake.Searches
    private let turnPath: String?
    private let helperCount: Int
    private let completed: @Sendable (Completion) -> Void
    private let gate: BuildGate
    private let machine: Machine
    private var policy: RebuildPolicy
    private var rebuild: CollectionRebuild?
    private var thread: (any BackgroundJob)?
    /// Held while a build is under way.
    private var admission: BuildGate.Admission?
    /// Collections whose build waits for memory.
    private var withoutRoom: Set<String> = []
    /// Whether no more rows were taken before some are linked, at the last tick.
    private var isCrowded = false
    /// Ticks until the system is asked again what it has left.
    private var ticksToLook = 0
    /// Ticks between two looks: a second.
    private static let lookTickCount = 20

    /// - Parameters:
    ///   - policy: Decides what to build, and when.
    ///   - searches: What builds give way to.
    ///   - turnPath: As for `BuildBrake`.
    ///   - helperCount: Threads that build besides the one of its own.
    ///   - gate: Knows whether there is memory for a build.
    ///   - machine: What builds run on.
    ///   - completed: Called on the other thread.
    init(
        _ policy: RebuildPolicy,
        searches: BuildBrake.Searches,
        turnPath: String?,
        helperCount: Int,
        gate: BuildGate,
        machine: Machine,
        completed: @escaping @Sendable (Completion) -> Void
    ) {
        self.policy = policy
        self.searches = searches
        self.turnPath = turnPath
        self.helperCount = helperCount
        self.gate = gate
        self.machine = machine
        self.completed = completed
    }

    /// Thousandths done of the rebuild of `collection`: 0 when it is due and has not begun, nil
    /// when none is due, or it waits for memory or for rows of a call.
    func permille(of collection: ShardCollection) -> Int? {
        if let rebuild, rebuild.collection === collection { return rebuild.work.permille }
        let shape = collection.rebuildShape(isCrowded: false)
        let isDue =
            policy.isDue(collection.name, shape) && !shape.awaitsRows
            && !withoutRoom.contains(collection.name)
        return isDue ? 0 : nil
    }

    /// Memory that a build under way may still take.
    var outstandingByteCount: Int { rebuild?.outstandingByteCount ?? 0 }

    /// Whether the build of `collection` waits until there is memory for it.
    func waitsForMemory(_ collection: ShardCollection) -> Bool {
        withoutRoom.contains(collection.name)
    }

    /// Whether anything is built.
    var isBusy: Bool { rebuild != nil }

    /// Begins a rebuild that is due, or ends one that is no longer worth it.
    ///
    /// - Parameters:
    ///   - store: What the shard holds.
    ///   - appliedLSN: The last operation applied to it.
    ///   - isCrowded: Whether no more rows are taken before some are linked.
    func tick(_ store: ShardStore, appliedLSN: UInt64, isCrowded: Bool) {
        let collections = store.ordered
        self.isCrowded = isCrowded
        let due = policy.next(
            collections.map { ($0.name, $0.rebuildShape(isCrowded: isCrowded)) },
            appliedLSN: appliedLSN
        )
        if let rebuild {
            rebuild.work.isUrgent = rebuild.collection.isUrgent
            if !rebuild.isWanted(by: store) { rebuild.work.stop() }
        } else {
            beginFirst(of: due.compactMap { store.collections[$0] })
        }
        for collection in collections { pauseLinking(collection) }
    }

    /// Begins the first build that there is memory for.
    private func beginFirst(of due: [ShardCollection]) {
        if due.isEmpty { withoutRoom = [] }
        // A build that is new here is looked at in the very tick in which it may begin.
        if due.allSatisfy({ withoutRoom.contains($0.name) }), ticksToLook > 0 {
            ticksToLook -= 1
            return
        }
        ticksToLook = Self.lookTickCount
        withoutRoom.formIntersection(due.map(\.name))
        for collection in due {
            let byteCount = collection.buildByteCount
            if let admission = gate.admit(byteCount) {
                withoutRoom.remove(collection.name)
                self.admission = admission
                return begin(collection)
            }
            if withoutRoom.insert(collection.name).inserted {
                LogLine.write(
                    "collection \(collection.name)",
                    "a build waits for \(byteCount) bytes of memory; until then rows are linked one by one"
                )
            }
        }
    }

    /// Leaves rows to a build that is under way, or due and not waiting for memory.
    ///
    /// The rows of open calls wait for each other as well, where they are few: how fast they come
    /// is not to decide which of them are linked together.
    func pauseLinking(_ collection: ShardCollection) {
        let shape = collection.rebuildShape(isCrowded: false)
        let isWasted =
            collection.isBatchBuilt || (awaitsFewRows(collection) && !isCrowded)
            || policy.isLinkingWasted(collection.name, shape)
        collection.isLinkingPaused =
            rebuild?.collection === collection
            || (isWasted && !withoutRoom.contains(collection.name))
    }

    /// Rows that may wait for others of their call before they are linked one by one: searches scan
    /// them until then.
    private static let heldRowCountMax = 16_384

    /// Whether calls are under way that bring few rows, and few wait to be linked.
    private func awaitsFewRows(_ collection: ShardCollection) -> Bool {
        collection.openBatchCount > 0 && collection.openRowCount <= Self.heldRowCountMax
            && collection.hotRowCount <= Self.heldRowCountMax
    }

    /// Expects `count` rows in several writes of one call: where they are enough for a build, none
    /// of them is linked before it, however slowly they come.
    func beginBatch(of count: Int, in collection: ShardCollection) {
        collection.openBatchCount += 1
        collection.openRowCount += count
        let shape = collection.rebuildShape(isCrowded: false).adding(count)
        if policy.isLinkingWasted(collection.name, shape) { collection.isBatchBuilt = true }
        pauseLinking(collection)
    }

    func endBatch(of count: Int, in collection: ShardCollection) {
        // It may have been cleared since the call began: then this is another one.
        guard collection.openBatchCount > 0 else { return }
        collection.openBatchCount -= 1
        collection.openRowCount = max(0, collection.openRowCount - count)
        if collection.openBatchCount == 0 {
            collection.isBatchBuilt = false
            collection.openRowCount = 0
        }
        pauseLinking(collection)
    }

    private func begin(_ collection: ShardCollection) {
        do throws(OmenError) {
            let rebuild = try CollectionRebuild(collection)
            let work = rebuild.work
            let (completed, searches, turnPath) = (completed, searches, turnPath)
            let (helperCount, time) = (helperCount, machine.time)
            work.isUrgent = collection.isUrgent
            thread = try machine.executor.start(work.isUrgent ? .normal : .low) {
                do throws(OmenError) {
                    let brake = BuildBrake(searches, turnPath: turnPath, time: time)
                    let output = try work.run(brake, helperCount: helperCount)
                    // Groups and candidates of all rows, some 50 bytes each.
                    AllocatorPolicy.returnFreed()
                    completed(.success(output))
                } catch { completed(.failure(error)) }
            }
            self.rebuild = rebuild
        } catch {
            end()
            failed(collection, error)
        }
    }

    private func end() {
        rebuild = nil
        admission = nil
    }

    private func failed(_ collection: ShardCollection, _ error: OmenError) {
        policy.rebuildFailed(collection.name)
        pauseLinking(collection)
        LogLine.write("collection \(collection.name)", "not rebuilt: \(error)")
    }

    /// Handles what the other thread said.
    func complete(_ result: Completion, in store: ShardStore) {
        thread?.join()
        thread = nil
        guard let rebuild else { return }
        switch result {
        case .success(let output?) where rebuild.isCurrent(in: store): rebuild.take(output)
        case .success: end()
        case .failure(let error):
            end()
            failed(rebuild.collection, error)
        }
    }

    /// Whether `catchUp` has something to do.
    func canCatchUp(isCheckpointRunning: Bool) -> Bool {
        guard let rebuild, rebuild.isCatchingUp else { return false }
        return !rebuild.isCaughtUp || !isCheckpointRunning
    }

    /// Takes in a slice of what was written meanwhile and, at the end, changes the index.
    ///
    /// - Parameters:
    ///   - steps: Size of the slice, in rows that linking would take as long for.
    ///   - store: What the shard holds.
    ///   - isCheckpointRunning: Then the change has to wait.
    /// - Returns: Whether a collection has a new index that no file holds yet.
    func catchUp(atMost steps: Int, in store: ShardStore, isCheckpointRunning: Bool) -> Bool {
        guard let rebuild, rebuild.isCatchingUp else { return false }
        guard rebuild.isCurrent(in: store) else {
            end()
            return false
        }
        do throws(OmenError) {
            guard try rebuild.catchUp(atMost: steps * Self.rowsPerStep), !isCheckpointRunning
            else { return false }
            rebuild.finish()
            end()
            pauseLinking(rebuild.collection)
            return true
        } catch {
            end()
            failed(rebuild.collection, error)
            return false
        }
    }

    /// Ends the thread, and what it did is lost.
    func close() {
        rebuild?.work.stop()
        thread?.join()
        thread = nil
        end()
    }
}

extension CollectionRebuild {
    /// Whether the store still has the collection; it may have been dropped or cleared.
    fileprivate func isCurrent(in store: ShardStore) -> Bool {
        store.collections[collection.name] === collection
    }

    fileprivate func isWanted(by store: ShardStore) -> Bool {
        isCurrent(in: store)
            && (isCatchingUp
                || !RebuildPolicy.isOutgrown(
                    capturedRowCount: capturedRowCount,
                    rowCount: collection.rowCount,
                    permille: work.permille
                ))
    }
}

extension ShardCollection {
    /// More hot rows than this slow every search more than a build does: then it takes its share.
    private static let patientHotRowCountMax = 32_768

    fileprivate var isUrgent: Bool { hotRowCount > Self.patientHotRowCountMax }

    /// What the policy is asked about.
    ///
    /// - Parameter isCrowded: Then rows that a call has still to bring wait for the build, and not
    ///   the build for them.
    /// - Returns: Its counts.
    fileprivate func rebuildShape(isCrowded: Bool) -> RebuildPolicy.Shape {
        RebuildPolicy.Shape(
            rowCount: rowCount,
            linkedCount: linkedCount,
            builtCount: builtCount,
            deletedCount: deletedCount,
            awaitsRows: openBatchCount > 0 && !isCrowded,
            awaitsCalibration: awaitsCalibration
        )
    }
}
