extension UpsertBatch: ByteEncodable {
    package func encode(into writer: inout ByteWriter) {
        writer.write(collection)
        writer.write(element.rawValue)
        writer.write(UInt32(dim))
        RecordID.encode(ids, into: &writer)
        writer.write(raw: vectors)
        writer.write(UInt8(metadata.isEmpty ? 0 : 1))
        for object in metadata { writer.write(counted: object) }
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        collection = try reader.readCollectionName()
        element = try ElementType(from: &reader)
        dim = Int(try reader.read(UInt32.self))
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
        ids = try RecordID.decodeList(from: &reader, limit: Limits.batchCountMax)
        guard !ids.isEmpty else { throw OmenError(.badRequest, "the batch is empty") }
        vectors = Array(try reader.read(count: ids.count * dim * element.byteCount))
        metadata = []
        let hasMetadata = try reader.read(UInt8.self)
        guard hasMetadata <= 1 else {
            throw OmenError(.badRequest, "hasMetadata is \(hasMetadata), expected 0 or 1")
        }
        guard hasMetadata == 1 else { return }
        metadata.reserveCapacity(ids.count)
        for row in ids.indices {
            let object = try reader.readCounted(limit: reader.remaining)
            guard object.count <= Limits.metadataByteCountMax else {
                throw OmenError(
                    .badRequest,
                    "metadata of vector \(row) has \(object.count) bytes, expected at most"
                        + " \(Limits.metadataByteCountMax)"
                )
            }
            metadata.append(Array(object))
        }
    }
}
