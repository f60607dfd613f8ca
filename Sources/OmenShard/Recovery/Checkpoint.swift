internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// One shard file as the manifest names it.
struct CheckpointFile: Equatable, Sendable {
    var name: String
    /// The last LSN whose effect it holds.
    var lsn: UInt64
    var byteCount: Int
}

/// What a checkpoint left on disk.
struct WrittenCheckpoint: Sendable {
    /// The files now in force, one for each collection of the job, in that order.
    var files: [CheckpointFile]
    /// The manifest's, with them.
    var generation: UInt64
}

/// A frozen picture of the shard at one LSN, written out by a second thread.
///
/// Rows below the frozen counts never change and the graphs stand still until `thaw`, so the
/// writing thread reads the very memory that goes on answering searches. Collections that did not
/// change since their last file keep it.
struct CheckpointJob: Sendable {
    /// One collection of the shard.
    struct FrozenCollection: Sendable {
        var name: String
        var schema: CollectionSchema
        var origin: FileOrigin
    }

    /// Where the file of a collection comes from.
    enum FileOrigin: Sendable {
        /// Nothing changed since that file was written.
        case existing(CheckpointFile)
        /// These pictures of the collection's parts are to be written.
        case frozen([any FrozenPart])
    }

    var directory: Directory
    var identity: ShardIdentity
    var throughLSN: UInt64
    var collections: [FrozenCollection]
    var requests: [RememberedRequest]
    /// What the checkpoint stores as the last version.
    var lastVersion: UInt64
    /// What must hold before anything is written: the frozen rows come out of those files.
    var check: DeferredCheck?

    /// Freezes `store` as it is, with everything up to `throughLSN` applied.
    init(
        store: ShardStore,
        throughLSN: UInt64,
        requests: [RememberedRequest],
        lastVersion: UInt64,
        directory: Directory,
        identity: ShardIdentity,
        check: DeferredCheck?
    ) {
        self.directory = directory
        self.check = check
        self.identity = identity
        self.throughLSN = throughLSN
        self.requests = requests
        self.lastVersion = lastVersion
        collections = store.ordered.map { collection in
            let stored = collection.isStored ? collection.file : nil
            return FrozenCollection(
                name: collection.name,
                schema: collection.schema,
                origin: stored.map { .existing($0) } ?? .frozen(collection.parts.freeze())
            )
        }
    }

    /// Writes the files, then the manifest, then removes what neither generation needs.
    ///
    /// Runs on its own thread, while no rotation of the log is under way. `breathe` is called after
    /// every block of a file, so that the caller can rest there while searches come in.
    func run(breathe: () -> Void = {}) throws(OmenError) -> WrittenCheckpoint {
        // New checksums over damaged rows would hide the damage.
        try check?.finish()
        guard let old = try ShardManifest.load(directory, identity: identity) else {
            throw OmenError(.corrupt, "\(directory.path): the manifest has disappeared")
        }
        let files = try writeFiles(generation: old.generation + 1, breathe)
        let entries = zip(collections, files).map { collection, file in
            ShardCheckpoint.Collection(
                name: collection.name,
                schema: collection.schema,
                file: file.name
            )
        }
        let manifest = old.advanced(
            to: ShardCheckpoint(
                appliedLSN: throughLSN,
                lastVersion: lastVersion,
                collections: entries,
                requests: requests
            )
        )
        try manifest.store(directory)
        for name in manifest.removableFiles(among: try directory.names()) {
            try directory.remove(name)
        }
        try directory.sync()
        try releaseMemory(files)
        return WrittenCheckpoint(files: files, generation: manifest.generation)
    }

    /// Leaves what searches seldom read to the files that now hold it, and what writing took to the
    /// system.
    private func releaseMemory(_ files: [CheckpointFile]) throws(OmenError) {
        for (collection, file) in zip(collections, files) {
            guard case .frozen(let parts) = collection.origin else { continue }
            let opened = try ShardFile(file.name, in: directory, identity: identity)
            for part in parts { try part.release(to: opened) }
        }
        AllocatorPolicy.returnFreed()
    }

    /// Writes every collection that changed, or none: a disk that is full gets its space back.
    private func writeFiles(
        generation: UInt64,
        _ breathe: () -> Void
    ) throws(OmenError) -> [CheckpointFile] {
        var files: [CheckpointFile] = []
        do throws(OmenError) {
            for (ordinal, collection) in collections.enumerated() {
                switch collection.origin {
                case .existing(let file): files.append(file)
                case .frozen(let parts):
                    // Two checkpoints may end at one LSN, when only links changed: the generation
                    // tells their files apart.
                    let name = ShardFileName.make(
                        lsn: throughLSN,
                        ordinal: UInt16(truncatingIfNeeded: generation) << 8
                            | UInt16(ordinal & 0xFF)
                    )
                    files.append(try write(parts, of: collection, to: name, breathe))
                }
            }
        } catch {
            for (collection, file) in zip(collections, files) {
                if case .frozen = collection.origin { try directory.remove(file.name) }
            }
            throw error
        }
        return files
    }

    private func write(
        _ parts: [any FrozenPart],
        of collection: FrozenCollection,
        to name: String,
        _ breathe: () -> Void
    ) throws(OmenError) -> CheckpointFile {
        var sections: [FileSection] = []
        for part in parts { sections += try part.sections(breathe: breathe) }
        let byteCount = try ShardFileWriter.write(
            directory: directory,
            name: name,
            identity: identity,
            collection: collection.name,
            schema: collection.schema,
            lsn: throughLSN,
            sections: sections,
            breathe: breathe
        )
        return CheckpointFile(name: name, lsn: throughLSN, byteCount: byteCount)
    }
}
