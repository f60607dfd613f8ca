package import OmenCore

/// What all processes of a cluster must agree on before one of them touches data, and what the
/// cluster knows of each shard apart from the shard's own files.
///
/// Payload of `DATA/cluster.manifest` (see `ManifestEnvelope`, magic "OMENCLUS"):
///
///     offset size  field
///          0    4  hashVersion  1; another: refused, ids would route elsewhere
///          4   16  uuid         high, low
///         20       cluster      see `ClusterDirectory`
package struct ClusterManifest: Equatable, Sendable {
    package static let fileName = DataDirectory.manifestName
    /// Version of the file's layout.
    package static let formatVersion: UInt32 = 3
    /// Version of `slot(of:)`.
    package static let hashVersion: UInt32 = 1
    private static let magic: UInt64 = 0x5355_4C43_4E45_4D4F

    package var uuid: ClusterUUID
    /// Who has which part of the records, and how far each had come.
    package var cluster: ClusterDirectory

    /// A cluster whose slots are spread evenly, slot by slot in turn.
    ///
    /// - Throws: `.badRequest` when the number of shards is outside `1...Limits.shardCountMax`.
    package init(uuid: ClusterUUID, shardCount: Int) throws(OmenError) {
        self.init(uuid: uuid, cluster: try ClusterDirectory(shardCount: shardCount))
    }

    private init(uuid: ClusterUUID, cluster: ClusterDirectory) {
        self.uuid = uuid
        self.cluster = cluster
    }

    /// Shards of the cluster.
    package var shardCount: Int { cluster.shardCount }

    /// How far the replica of a shard had come that serves it.
    package subscript(progressOfShard shard: Int) -> ShardProgress {
        get { cluster[progress: cluster.replica(serving: shard)] }
        set { cluster[progress: cluster.replica(serving: shard)] = newValue }
    }

    package func identity(ofShard shard: Int) -> ShardIdentity {
        precondition((0..<shardCount).contains(shard), "shard \(shard) of \(shardCount)")
        return ShardIdentity(cluster: uuid, shard: UInt32(shard))
    }

    /// The manifest of a data directory; nil when there is none.
    ///
    /// - Throws: `.corrupt`, `.unsupportedVersion` or `.ioFailure`, naming the file.
    package static func load(_ directory: Directory) throws(OmenError) -> ClusterManifest? {
        let path = directory.path(of: fileName)
        guard let bytes = try directory.read(fileName, byteCountMax: 64 << 10) else { return nil }
        return try decode(bytes, path: path)
    }

    /// The manifest of a data directory; a new one where nothing was ever stored.
    ///
    /// - Parameters:
    ///   - directory: The data directory; the caller holds its lock, as two makers would each
    ///     believe in their own manifest.
    ///   - shardCount: Number of shards of a new cluster.
    /// - Returns: The manifest, which is stored.
    /// - Throws: As `load`; `.corrupt` when shards are there without a manifest: a new one would
    ///   be of another cluster, and could not open them.
    package static func loadOrMake(
        _ directory: Directory,
        shardCount: () -> Int
    ) throws(OmenError) -> ClusterManifest {
        try DataDirectory.shards(in: directory).checkKind()
        if let manifest = try load(directory) { return manifest }
        try checkIsNew(directory)
        let manifest = try ClusterManifest(uuid: .random(), shardCount: shardCount())
        try manifest.store(directory)
        return manifest
    }

    /// Makes sure that no shard is there whose cluster manifest is missing.
    package static func checkIsNew(_ directory: Directory) throws(OmenError) {
        let shards = DataDirectory.shards(in: directory)
        guard try shards.exists(), let first = try shards.names().first else { return }
        throw OmenError(
            .corrupt,
            "\(directory.path(of: fileName)) is missing, but \(shards.path(of: first)) is there: put the manifest of this cluster back"
        )
    }

    /// Replaces the manifest; durable on return.
    package func store(_ directory: Directory) throws(OmenError) {
        try directory.replace(Self.fileName, with: encode())
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter(reserving: 20 + cluster.encodedByteCount)
        writer.write(Self.hashVersion)
        writer.write(uuid.high)
        writer.write(uuid.low)
        cluster.encode(into: &writer)
        return ManifestEnvelope.encode(
            magic: Self.magic,
            version: Self.formatVersion,
            payload: writer.bytes
        )
    }

    static func decode(_ bytes: [UInt8], path: String) throws(OmenError) -> ClusterManifest {
        try ManifestEnvelope.decode(bytes, path: path, magic: magic, version: formatVersion) {
            reader throws(OmenError) in
            let hash = try reader.read(UInt32.self)
            guard hash == hashVersion else {
                throw OmenError(
                    .unsupportedVersion,
                    "slot hash \(hash), this build routes by \(hashVersion)"
                )
            }
            let high = try reader.read(UInt64.self)
            let uuid = ClusterUUID(high: high, low: try reader.read(UInt64.self))
            guard uuid != .unknown else {
                throw OmenError(.corrupt, "the cluster's uuid is 0, which no cluster has")
            }
            return ClusterManifest(uuid: uuid, cluster: try ClusterDirectory(from: &reader))
        }
    }
}
