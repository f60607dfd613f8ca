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
    private var policy: RebuildPolicy
    private var rebuild: CollectionRebuild?
    private var thread: BackgroundThread?

    /// - Parameters:
    ///   - policy: Decides what to build, and when.
    ///   - searches: What builds give way to.
    ///   - turnPath: As for `BuildBrake`.
    ///   - helperCount: Threads that build besides the one of its own.
    ///   - completed: Called on the other thread.
    init(
        _ policy: RebuildPolicy,
        searches: BuildBrake.Searches,
        turnPath: String?,
        helperCount: Int,
        completed: @escaping @Sendable (Completion) -> Void
    ) {
        self.policy = policy
        self.searches = searches
        self.turnPath = turnPath
        self.helperCount = helperCount
        self.completed = completed
    }

    /// Thousandths done of the rebuild of `collection`; nil when there is none.
    func permille(of collection: ShardCollection) -> Int? {
        guard let rebuild, rebuild.collection === collection else { return nil }
        return rebuild.work.permille
    }

    /// Begins a rebuild that is due, or ends one that is no longer worth it.
    ///
    /// - Parameters:
    ///   - store: What the shard holds.
    ///   - appliedLSN: The last operation applied to it.
    func tick(_ store: ShardStore, appliedLSN: UInt64) {
        let collections = store.ordered
        let next = policy.next(
            collections.map { ($0.name, $0.rebuildShape) },
            appliedLSN: appliedLSN
        )
        if let rebuild {
            rebuild.work.isUrgent = rebuild.collection.isUrgent
            if !rebuild.isWanted(by: store) { rebuild.work.stop() }
        } else if let next, let collection = store.collections[next] {
            begin(collection)
        }
        for collection in collections {
            collection.isLinkingPaused =
                policy.isDue(collection.name) || rebuild?.collection === collection
        }
    }

    private func begin(_ collection: ShardCollection) {
        do throws(OmenError) {
            let rebuild = try CollectionRebuild(collection)
            let work = rebuild.work
            let (completed, searches, turnPath) = (completed, searches, turnPath)
            let helperCount = helperCount
            work.isUrgent = collection.isUrgent
            thread = try BackgroundThread(work.isUrgent ? .normal : .low) {
                do throws(OmenError) {
                    let brake = BuildBrake(searches, turnPath: turnPath)
                    let output = try work.run(brake, helperCount: helperCount)
                    // Groups and candidates of all rows, some 50 bytes each.
                    ProcessMemory.returnFreed()
                    completed(.success(output))
                } catch { completed(.failure(error)) }
            }
            self.rebuild = rebuild
        } catch {
            failed(collection, error)
        }
    }

    private func failed(_ collection: ShardCollection, _ error: OmenError) {
        policy.rebuildFailed(collection.name)
        collection.isLinkingPaused = false
        LogLine.write("collection \(collection.name)", "not rebuilt: \(error)")
    }

    /// Handles what the other thread said.
    func complete(_ result: Completion, in store: ShardStore) {
        thread?.join()
        thread = nil
        guard let rebuild else { return }
        switch result {
        case .success(let output?) where rebuild.isCurrent(in: store): rebuild.take(output)
        case .success: self.rebuild = nil
        case .failure(let error):
            self.rebuild = nil
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
            self.rebuild = nil
            return false
        }
        do throws(OmenError) {
            guard try rebuild.catchUp(atMost: steps * Self.rowsPerStep), !isCheckpointRunning
            else { return false }
            rebuild.finish()
            self.rebuild = nil
            rebuild.collection.isLinkingPaused = false
            return true
        } catch {
            self.rebuild = nil
            failed(rebuild.collection, error)
            return false
        }
    }

    /// Ends the thread, and what it did is lost.
    func close() {
        rebuild?.work.stop()
        thread?.join()
        thread = nil
        rebuild = nil
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

    fileprivate var rebuildShape: RebuildPolicy.Shape {
        RebuildPolicy.Shape(
            rowCount: rowCount,
            linkedCount: linkedCount,
            deletedCount: deletedCount
        )
    }
}
