internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// Decides whether there is memory for a build, before it begins.
///
/// Builds of all shards of a cluster begin at about the same time, and each finds the same memory
/// available. So a shard that needs no more than its share begins at once, beside others; one that
/// needs more begins when no other build is under way, and keeps others from beginning.
package struct BuildGate: Sendable {
    /// Held while a build is under way.
    struct Admission: Sendable {
        fileprivate var lease: LockFile?
    }

    /// A lock file that the shards of a cluster share; nil where a shard is alone.
    let leasePath: String?
    let shardCount: Int
    /// Bytes of memory that the system has left; nil when it does not tell.
    let availableByteCount: @Sendable () -> Int?

    package init(
        leasePath: String? = nil,
        shardCount: Int = 1,
        availableByteCount: (@Sendable () -> Int?)? = nil
    ) {
        self.leasePath = leasePath
        self.shardCount = max(1, shardCount)
        self.availableByteCount = availableByteCount ?? { Self.systemByteCount() }
    }

    /// Lets a build of `byteCount` bytes begin, if there is room for it now.
    ///
    /// - Returns: Nil when it has to wait.
    func admit(_ byteCount: Int) -> Admission? {
        // Nothing can be said against the build.
        guard let available = availableByteCount() else { return Admission() }
        let room = available - Limits.memoryReserveByteCount
        guard byteCount <= room else { return nil }
        guard shardCount > 1, let leasePath else { return Admission() }
        let isShare = byteCount <= room / shardCount
        do throws(OmenError) {
            return Admission(lease: try LockFile.acquireLease(leasePath, isShared: isShare))
        } catch {
            // Other builds have it. Where the system gives no lock, everything still works.
            return error.code == .locked ? nil : Admission()
        }
    }

    private static func systemByteCount() -> Int? {
        do throws(OmenError) {
            let memory = try SystemMemory.availableByteCount()
            return min(memory, try SystemMemory.addressByteCountLeft() ?? memory)
        } catch { return nil }
    }
}
