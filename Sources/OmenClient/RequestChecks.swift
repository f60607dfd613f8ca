internal import OmenCore

extension OmenError {
    /// Why a request is not sent that fits no frame.
    static var fitsNoFrame: OmenError {
        OmenError(
            .badRequest,
            "the request takes more than \(Limits.frameBodyByteCountMax) bytes: send less at once"
        )
    }
}

extension WriteOperation {
    /// Checks what has to hold for the bytes to mean what was meant; values are the cluster's job.
    func validateShape() throws(OmenError) {
        switch self {
        case .createCollection(let name, let schema):
            try CollectionName.validate(name)
            try schema.validate()
        case .dropCollection(let name), .clearCollection(let name):
            try CollectionName.validate(name)
        case .upsert(let batch): try batch.validateShape()
        case .delete(let collection, let ids):
            try CollectionName.validate(collection)
            try Self.validate(ids)
        case .calibrate(let sample):
            try CollectionName.validate(sample.collection)
            try sample.validateShape()
        }
    }

    static func validate(_ ids: [RecordID]) throws(OmenError) {
        guard ids.count <= Limits.batchCountMax else {
            throw OmenError(
                .badRequest,
                "\(ids.count) ids in one request, expected at most \(Limits.batchCountMax)"
            )
        }
        for id in ids { try id.validate() }
    }
}

extension UpsertBatch {
    func validateShape() throws(OmenError) {
        try CollectionName.validate(collection)
        try WriteOperation.validate(ids)
        guard !ids.isEmpty else { throw OmenError(.badRequest, "the batch is empty") }
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
        let expected = ids.count * dim * element.byteCount
        guard vectors.count == expected else {
            throw OmenError(.badRequest, "\(vectors.count) bytes of vectors, expected \(expected)")
        }
        guard metadata.isEmpty || metadata.count == ids.count else {
            throw OmenError(.badRequest, "\(metadata.count) metadata objects for \(ids.count) ids")
        }
        for (index, object) in metadata.enumerated()
        where object.count > Limits.metadataByteCountMax {
            throw OmenError(
                .badRequest,
                "metadata of vector \(index) has \(object.count) bytes, expected at most"
                    + " \(Limits.metadataByteCountMax)"
            )
        }
    }
}
