package import OmenCore
package import OmenStorage

extension ShardEngine {
    /// Where a shard is, and how it works.
    package struct Configuration: Sendable {
        /// The shard's own directory; made when it is missing.
        package var directory: Directory
        package var identity: ShardIdentity
        package var durability: Durability
        /// How far the cluster knows the shard to have come; nil where no cluster could know.
        ///
        /// Files that are missing or older are not served.
        package var expected: ShardProgress?
        /// An operator lets the shard go on with what can be read of its files, see `ShardSalvage`.
        package var acceptsLoss = false
        /// Check every byte before anything is served, as after an end that damage may have caused;
        /// otherwise the large sections of shard files are checked soon after.
        package var checksWhole: Bool
        /// Memory that the shard files may need; one that needs more is not opened.
        package var memoryByteCountMax: Int
        /// A lock file that the shards of a cluster share; nil where a shard is alone.
        ///
        /// While searches come in, only the shard that holds the lock builds.
        package var buildTurnPath: String?
        /// Rows of a collection from which on it is built.
        package var rebuildRowCountMin = RebuildPolicy.rowCountStandard
        package var hotLimits = HotLimits.shard
        /// Knows whether there is memory for a build.
        package var buildGate = BuildGate()
        /// Threads that build an index besides the one that leads.
        package var buildHelperCount = 0
        /// The machine, or what a simulation puts in its place.
        package var machine = Machine.system
        /// The parts that collections have; tests add their own.
        var partTypes = PartTypes.standard

        package init(
            directory: Directory,
            identity: ShardIdentity,
            durability: Durability,
            checksWhole: Bool = false,
            memoryByteCountMax: Int = .max,
            buildTurnPath: String? = nil
        ) {
            self.directory = directory
            self.identity = identity
            self.durability = durability
            self.checksWhole = checksWhole
            self.memoryByteCountMax = memoryByteCountMax
            self.buildTurnPath = buildTurnPath
        }

        /// The shard's number in its cluster.
        package var shard: UInt32 { identity.shard }
    }
}
