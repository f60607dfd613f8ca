internal import OmenClient
internal import OmenCore
internal import OmenWire

/// A client of the cluster that the options name.
func connect(_ options: ClusterOptions) throws(OmenError) -> ClusterClient {
    try ClusterClient.connect(path: try options.location().socket)
}

extension ClusterClient {
    /// Makes the collection of the first vectors, or checks that they fit the one that is there.
    ///
    /// A metric of nil takes that of the collection, or l2 for a new one. Returns the schema.
    @discardableResult
    func ensureCollection(
        _ name: String,
        dim: Int,
        element: ElementType,
        metric: Metric?
    ) throws(OmenError) -> CollectionSchema {
        try CollectionName.validate(name)
        guard let found = try listCollections().first(where: { $0.name == name })?.schema else {
            let schema = CollectionSchema(dim: dim, metric: metric ?? .l2, element: element)
            try createCollection(name, schema: schema)
            return schema
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
        return found
    }
}
