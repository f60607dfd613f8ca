extension UpsertBatch {
    /// Checks the metadata of all records; the first one is called `firstRow`.
    func validateMetadata(
        firstRow: Int,
        _ rules: ValueRules = .accepted
    ) throws(OmenError) {
        guard metadata.isEmpty || metadata.count == ids.count else {
            throw OmenError(
                .badRequest,
                "\(metadata.count) metadata objects for \(ids.count) vectors"
            )
        }
        for (index, object) in metadata.enumerated() where !object.isEmpty {
            guard object.count <= Limits.metadataByteCountMax else {
                throw OmenError(
                    .badRequest,
                    "metadata of vector \(firstRow + index) has \(object.count) bytes, expected at most \(Limits.metadataByteCountMax)"
                )
            }
            // Typed throws do not pass through `withUnsafeBytes` closures, so the result does.
            let failure = object.withUnsafeBytes { bytes -> OmenError? in
                do throws(OmenError) {
                    try JSONText.validateObject(bytes, rules)
                    return nil
                } catch { return error }
            }
            if let failure {
                throw OmenError(failure.code, "vector \(firstRow + index): \(failure.message)")
            }
        }
    }
}
