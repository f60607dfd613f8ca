internal import OmenIndex

extension CollectionParts {
    /// Memory that a build would take now, in addition to what the collection has.
    var buildNeed: BuildNeed {
        var need = index.buildNeed
        need.linkByteCount += records.copyByteCount
        for part in derived { need.linkByteCount += part.copyByteCount }
        return need
    }
}

extension ShardCollection {
    /// Bytes that a build would take now, in addition to what the collection has.
    package var buildByteCount: Int { parts.buildNeed.total }
}
