/// How much happened in a simulation: one in which little happens proves little.
struct Tally {
    /// Records whose writes were acknowledged.
    var acknowledged = 0
    /// Faults that struck.
    var faults = 0
    /// Processes that ended while they changed the disk.
    var cutOperations = 0
    /// Openings that replayed records of the log.
    var replays = 0
    /// Openings that left sections of shard files to be checked later.
    var deferredChecks = 0
    var checkpoints = 0
    /// Collections that were built again.
    var builds = 0

    static func += (sum: inout Tally, other: Tally) {
        sum.acknowledged += other.acknowledged
        sum.faults += other.faults
        sum.cutOperations += other.cutOperations
        sum.replays += other.replays
        sum.deferredChecks += other.deferredChecks
        sum.checkpoints += other.checkpoints
        sum.builds += other.builds
    }
}
