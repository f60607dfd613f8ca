package import OmenCore

/// A write that was applied, and what it did: the answer for its retries.
package struct RememberedRequest: Equatable, Sendable {
    package var key: RequestKey
    package var counts: WriteCounts

    package init(key: RequestKey, counts: WriteCounts) {
        self.key = key
        self.counts = counts
    }
}

/// A state of the whole shard on disk: replaying the log from `appliedLSN + 1` completes it.
package struct ShardCheckpoint: Equatable, Sendable {
    package struct Collection: Equatable, Sendable {
        package var name: String
        package var schema: CollectionSchema
        /// Name of the shard file; may be older than the checkpoint when nothing changed.
        package var file: String

        package init(name: String, schema: CollectionSchema, file: String) {
            self.name = name
            self.schema = schema
            self.file = file
        }
    }

    /// Every write up to here is in the files, none above.
    package var appliedLSN: UInt64
    /// No write up to there has a larger version, see `WriteVersions`.
    package var lastVersion: UInt64
    package var collections: [Collection]
    /// Oldest first, as the shard forgets them.
    package var requests: [RememberedRequest]

    package init(
        appliedLSN: UInt64 = 0,
        lastVersion: UInt64 = 0,
        collections: [Collection] = [],
        requests: [RememberedRequest] = []
    ) {
        self.appliedLSN = appliedLSN
        self.lastVersion = lastVersion
        self.collections = collections
        self.requests = requests
    }
}

/// Names the files that make up a shard, and the generation before, in case they rot.
///
/// Order of a checkpoint: the log is synced through `appliedLSN` -> shard files (each synced,
/// verified, renamed) -> manifest -> only then `removableFiles` are deleted. A shard's first
/// manifest is stored when its log is made, so that a missing log or manifest is seen as damage.
package struct ShardManifest: Equatable, Sendable {
    package static let fileName = "MANIFEST"
    package static let formatVersion: UInt32 = 3

    package var identity: ShardIdentity
    /// Names the shard's history, see `ShardProgress`; never 0.
    package var history: UInt64
    /// Counts checkpoints, from 0 for the empty shard.
    package var generation: UInt64
    package var current: ShardCheckpoint
    /// The checkpoint before; its files and the log behind it are kept.
    package var previous: ShardCheckpoint?

    /// A shard without data.
    package init(identity: ShardIdentity, history: UInt64) {
        self.identity = identity
        self.history = history
        generation = 0
        current = ShardCheckpoint()
        previous = nil
    }

    /// The manifest after a new checkpoint.
    ///
    /// - Precondition: The checkpoint is not older than the current one.
    package func advanced(to checkpoint: ShardCheckpoint) -> ShardManifest {
        precondition(
            checkpoint.appliedLSN >= current.appliedLSN,
            "checkpoint at LSN \(checkpoint.appliedLSN) after \(current.appliedLSN)"
        )
        var next = self
        next.generation += 1
        next.previous = current
        next.current = checkpoint
        return next
    }

    /// First record that some kept generation still needs.
    package var neededLSN: UInt64 { (previous ?? current).appliedLSN + 1 }

    /// Which of a directory's files neither generation needs, sorted.
    ///
    /// Unreferenced shard files, log segments wholly below `neededLSN`, and temporary files; names
    /// of other kinds are never listed.
    /// - Precondition: No checkpoint and no rotation is running: their files are not referenced
    ///   yet.
    package func removableFiles(among names: [String]) -> [String] {
        let checkpoints = [current] + (previous.map { [$0] } ?? [])
        let needed = Set(checkpoints.flatMap { $0.collections.map(\.file) })
        let segments = names.filter { LogSegment.firstLSN(of: $0) != nil }.sorted()
        var removable: [String] = []
        for name in names {
            let isTemporary = name.hasSuffix(Directory.temporarySuffix)
            let isShardFile = ShardFileName.isValid(name) && !needed.contains(name)
            if isTemporary || isShardFile { removable.append(name) }
        }
        for (name, successor) in zip(segments, segments.dropFirst()) {
            // Its last record is the one before its successor's first.
            guard let first = LogSegment.firstLSN(of: successor), first <= neededLSN else { break }
            removable.append(name)
        }
        return removable.sorted()
    }

    /// The manifest of a shard's directory; nil when there is none.
    ///
    /// - Throws: `.corrupt` (also when it is another shard's), `.unsupportedVersion` or
    ///   `.ioFailure`, naming the file.
    package static func load(
        _ directory: Directory,
        identity: ShardIdentity
    ) throws(OmenError) -> ShardManifest? {
        guard let bytes = try directory.read(fileName, byteCountMax: byteCountMax) else {
            return nil
        }
        let path = directory.path(of: fileName)
        let manifest = try decode(bytes, path: path)
        guard manifest.identity == identity else {
            throw OmenError(
                .corrupt,
                "\(path) belongs to \(manifest.identity), expected \(identity)"
            )
        }
        return manifest
    }

    /// Replaces the manifest; durable on return.
    package func store(_ directory: Directory) throws(OmenError) {
        try directory.replace(Self.fileName, with: encode())
    }
}
