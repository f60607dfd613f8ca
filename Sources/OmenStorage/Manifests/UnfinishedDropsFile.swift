package import OmenCore

/// The coordinator's note of drops that are not finished.
///
/// Payload of `DATA/cluster.drops` (see `ManifestEnvelope`, magic "OMENDROP"); no file: none.
///
///     drop count u32 (at most 256), each: name (u32 + UTF-8), client u64 (not 0), sequence u64
package enum UnfinishedDropsFile {
    package static let fileName = DataDirectory.dropsName
    package static let formatVersion: UInt32 = 1
    private static let magic: UInt64 = 0x504F_5244_4E45_4D4F
    static let byteCountMax =
        64 + Limits.collectionCountMax * (Limits.collectionNameCharacterCountMax + 20)

    /// The unfinished drops of a data directory, oldest first.
    ///
    /// - Throws: `.corrupt`, `.unsupportedVersion` or `.ioFailure`, naming the file.
    package static func load(_ directory: Directory) throws(OmenError) -> [UnfinishedDrop] {
        let path = directory.path(of: fileName)
        guard let bytes = try directory.read(fileName, byteCountMax: byteCountMax) else {
            return []
        }
        return try decode(bytes, path: path)
    }

    /// Replaces the file; durable on return.
    ///
    /// - Precondition: At most `Limits.collectionCountMax` drops.
    package static func store(
        _ drops: [UnfinishedDrop],
        _ directory: Directory
    ) throws(OmenError) {
        try directory.replace(fileName, with: encode(drops))
    }

    static func encode(_ drops: [UnfinishedDrop]) -> [UInt8] {
        precondition(drops.count <= Limits.collectionCountMax, "\(drops.count) unfinished drops")
        var writer = ByteWriter()
        writer.write(UInt32(drops.count))
        for drop in drops {
            writer.write(drop.name)
            writer.write(drop.key.client)
            writer.write(drop.key.sequence)
        }
        return ManifestEnvelope.encode(
            magic: magic,
            version: formatVersion,
            payload: writer.bytes
        )
    }

    static func decode(_ bytes: [UInt8], path: String) throws(OmenError) -> [UnfinishedDrop] {
        try ManifestEnvelope.decode(bytes, path: path, magic: magic, version: formatVersion) {
            reader throws(OmenError) in
            let count = Int(try reader.read(UInt32.self))
            guard count <= Limits.collectionCountMax else {
                throw OmenError(.corrupt, "\(count) unfinished drops")
            }
            var drops: [UnfinishedDrop] = []
            for _ in 0..<count {
                let name = try reader.readText(limit: Limits.collectionNameCharacterCountMax)
                try CollectionName.validate(name)
                let client = try reader.read(UInt64.self)
                let key = RequestKey(client: client, sequence: try reader.read(UInt64.self))
                guard client != 0, !drops.contains(where: { $0.name == name }) else {
                    throw OmenError(.corrupt, "the drop of \(name) stands there twice, or keyless")
                }
                drops.append(UnfinishedDrop(name: name, key: key))
            }
            return drops
        }
    }
}
