internal import OmenClient
internal import OmenCore
internal import OmenWire

/// A client of the cluster that the options name.
func connect(_ options: ClusterOptions) throws(OmenError) -> ClusterClient {
    try ClusterClient.connect(to: try options.location().endpoint)
}

extension ClusterClient {
    /// Makes the collection of the first vectors, or checks that they fit the one that is there.
    ///
    /// A metric of nil takes that of the collection, or l2 for a new one.
    func ensureCollection(
        _ name: String,
        dim: Int,
        element: ElementType,
        metric: Metric?
    ) throws(OmenError) {
        let (schema, exists) = try plannedCollection(
            name,
            dim: dim,
            element: element,
            metric: metric
        )
        if !exists { try createCollection(name, schema: schema) }
    }

    /// The schema of a collection, or what it would be made with for such vectors, and whether it
    /// is there.
    ///
    /// - Throws: `.badRequest` or `.alreadyExists` when the vectors do not fit what is there.
    func plannedCollection(
        _ name: String,
        dim: Int,
        element: ElementType,
        metric: Metric?
    ) throws(OmenError) -> (schema: CollectionSchema, exists: Bool) {
        try CollectionName.validate(name)
        guard let found = try listCollections().first(where: { $0.name == name })?.schema else {
            let schema = CollectionSchema(dim: dim, metric: metric ?? .l2, element: element)
            try schema.validate()
            return (schema, false)
        }
        guard found.dim == dim else {
            throw OmenError(
                .badRequest,
                "vectors have \(dim) dimensions, collection \(name) has \(found.dim)"
            )
        }
        guard metric == nil || metric == found.metric else {
            throw OmenError(
                .alreadyExists,
                "collection \(name) has metric \(found.metric), not \(metric ?? found.metric)"
            )
        }
        return (found, true)
    }
}
