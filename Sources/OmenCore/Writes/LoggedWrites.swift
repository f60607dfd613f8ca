/// Checks the writes of a log in their order, without carrying them out.
///
/// Each was checked before it was logged, so one that cannot be applied is damage, or was made by
/// something else, although its checksum holds. Applying it all the same could end the process, now
/// and at every start.
package struct LoggedWrites {
    private var schemas: [String: CollectionSchema]

    /// Begins behind a checkpoint with collections of these schemas.
    package init(schemas: [String: CollectionSchema]) { self.schemas = schemas }

    /// Checks the next write.
    ///
    /// - Parameter operation: As the log holds it.
    /// - Returns: The write, which can be applied now.
    /// - Throws: `.corrupt` telling why it cannot be applied.
    /// - Complexity: O(bytes of the write).
    package mutating func check(
        _ operation: WriteOperation
    ) throws(OmenError) -> CheckedOperation {
        let checked: CheckedOperation
        do throws(OmenError) {
            // Vectors are converted before they are logged.
            if let element = operation.element, let schema = schemas[operation.collection],
                element != schema.element
            {
                throw OmenError(
                    .corrupt,
                    "vectors of \(element), collection \(operation.collection) stores \(schema.element)"
                )
            }
            checked = try operation.validated(against: schemas, rules: .stored)
        } catch {
            throw OmenError(.corrupt, "the write cannot be applied: \(error.message)")
        }
        checked.change(&schemas)
        return checked
    }
}

extension WriteOperation {
    /// Type of the vectors' elements; nil when it has no vectors.
    fileprivate var element: ElementType? {
        switch self {
        case .upsert(let batch): batch.element
        case .calibrate(let sample): sample.element
        case .createCollection, .dropCollection, .clearCollection, .delete: nil
        }
    }
}
