internal import OmenCore

/// Payload of `DATA/shards/NNN/MANIFEST` (see `ManifestEnvelope`, magic "OMENSHRM"):
///
///     identity 20, history u64 (not 0), generation u64, hasPrevious u8 (0 or 1), checkpoint,
///         [checkpoint]
///
///     checkpoint: appliedLSN u64, lastVersion u64
///                 collection count u32 (at most 256), each: name (u32 + UTF-8), schema 12,
///                     file (u32 + UTF-8)
///                 request count u32 (at most 65,536), each: client u64, sequence u64,
///                     upserted u64, replaced u64, deleted u64
extension ShardManifest {
    private static let magic: UInt64 = 0x4D52_4853_4E45_4D4F

    /// Two generations at every limit.
    static let byteCountMax =
        1024 + 2
        * (Limits.requestKeysRemembered * 40
            + Limits.collectionCountMax * (Limits.collectionNameCharacterCountMax + 128))

    func encode() -> [UInt8] {
        var writer = ByteWriter(reserving: 1024 + current.requests.count * 80)
        identity.encode(into: &writer)
        writer.write(history)
        writer.write(generation)
        writer.write(UInt8(previous == nil ? 0 : 1))
        current.encode(into: &writer)
        previous?.encode(into: &writer)
        return ManifestEnvelope.encode(
            magic: Self.magic,
            version: Self.formatVersion,
            payload: writer.bytes
        )
    }

    static func decode(_ bytes: [UInt8], path: String) throws(OmenError) -> ShardManifest {
        try ManifestEnvelope.decode(bytes, path: path, magic: magic, version: formatVersion) {
            reader throws(OmenError) in
            let identity = try ShardIdentity(from: &reader)
            var manifest = ShardManifest(
                identity: identity,
                history: try reader.read(UInt64.self)
            )
            guard manifest.history != 0 else { throw OmenError(.corrupt, "history 0") }
            manifest.generation = try reader.read(UInt64.self)
            guard manifest.generation <= .max / 2 else {
                throw OmenError(.corrupt, "generation \(manifest.generation)")
            }
            let hasPrevious = try reader.read(UInt8.self)
            guard hasPrevious <= 1 else {
                throw OmenError(.corrupt, "flag \(hasPrevious), expected 0 or 1")
            }
            manifest.current = try ShardCheckpoint(from: &reader)
            guard hasPrevious == 1 else { return manifest }
            let previous = try ShardCheckpoint(from: &reader)
            guard previous.appliedLSN <= manifest.current.appliedLSN else {
                throw OmenError(
                    .corrupt,
                    "generation at LSN \(manifest.current.appliedLSN) after \(previous.appliedLSN)"
                )
            }
            manifest.previous = previous
            return manifest
        }
    }
}

extension ShardCheckpoint {
    func encode(into writer: inout ByteWriter) {
        precondition(
            requests.count <= Limits.requestKeysRemembered,
            "\(requests.count) requests, at most \(Limits.requestKeysRemembered)"
        )
        writer.write(appliedLSN)
        writer.write(lastVersion)
        writer.write(UInt32(collections.count))
        for collection in collections {
            writer.write(collection.name)
            collection.schema.encode(into: &writer)
            writer.write(collection.file)
        }
        writer.write(UInt32(requests.count))
        for request in requests {
            writer.write(request.key.client)
            writer.write(request.key.sequence)
            writer.write(request.counts.upserted)
            writer.write(request.counts.replaced)
            writer.write(request.counts.deleted)
        }
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        self.init(appliedLSN: try reader.read(UInt64.self))
        guard appliedLSN < LogSegment.firstLSNMax else {
            throw OmenError(.corrupt, "LSN \(appliedLSN)")
        }
        lastVersion = try reader.read(UInt64.self)
        guard lastVersion < WriteVersions.limit else {
            throw OmenError(.corrupt, "version \(lastVersion)")
        }
        let collectionCount = Int(try reader.read(UInt32.self))
        guard collectionCount <= Limits.collectionCountMax else {
            throw OmenError(.corrupt, "\(collectionCount) collections")
        }
        for _ in 0..<collectionCount {
            let name = try reader.readText(limit: Limits.collectionNameCharacterCountMax)
            try CollectionName.validate(name)
            let schema = try CollectionSchema(from: &reader)
            let file = try reader.readText(limit: ShardFileName.byteCount)
            guard ShardFileName.isValid(file) else {
                throw OmenError(.corrupt, "collection \(name) names the file \(file)")
            }
            let fileLSN = ShardFileName.lsn(of: file) ?? .max
            guard fileLSN <= appliedLSN else {
                throw OmenError(
                    .corrupt,
                    "collection \(name) is in \(file), which is newer than the checkpoint at LSN \(appliedLSN)"
                )
            }
            guard !collections.contains(where: { $0.name == name }) else {
                throw OmenError(.corrupt, "collection \(name) stands there twice")
            }
            collections.append(Collection(name: name, schema: schema, file: file))
        }
        let requestCount = Int(try reader.read(UInt32.self))
        guard requestCount <= Limits.requestKeysRemembered, requestCount * 40 <= reader.remaining
        else { throw OmenError(.corrupt, "\(requestCount) requests") }
        requests.reserveCapacity(requestCount)
        for _ in 0..<requestCount {
            let client = try reader.read(UInt64.self)
            let key = RequestKey(client: client, sequence: try reader.read(UInt64.self))
            let upserted = try reader.read(UInt64.self)
            let replaced = try reader.read(UInt64.self)
            let deleted = try reader.read(UInt64.self)
            let counts = WriteCounts(upserted: upserted, replaced: replaced, deleted: deleted)
            requests.append(RememberedRequest(key: key, counts: counts))
        }
    }
}
