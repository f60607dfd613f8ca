internal import OmenCore

extension VectorIndex {
    /// Begins to build the graph anew over all rows there are, the linked ones included.
    ///
    /// Until `finishBulkBuild`, linking stands still; appending, deleting, searching and snapshots
    /// go on. Trains the quantizer first, if that is due.
    /// - Returns: What to run, on any thread; nil while frozen and when no row is hot.
    package func beginBulkBuild() -> BulkJob? {
        guard !isFrozen, linkedCount < rowCount else { return nil }
        prepareCodes()
        isBuilding = true
        let words = (rowCount + 63) / 64
        let source = BulkSource(
            layout: layout,
            seed: seed,
            rowCount: rowCount,
            scorer: rowScorer(),
            isBytes: schema.element == .u8 || traversesCodes,
            deleted: Array(UnsafeBufferPointer(start: deleted, count: words))
        )
        return BulkJob(
            source: source,
            schema: schema,
            encoder: traversesCodes ? bulkEncoder() : nil,
            retained: [Section.vectors, .codes, .aux].compactMap { regions[$0] }
        )
    }

    private func bulkEncoder() -> BulkEncoder {
        BulkEncoder(
            rows: linkedCount..<rowCount,
            scale: quantizer.scale,
            offsets: Array(UnsafeBufferPointer(start: quantizer.offsets, count: schema.dim)),
            layout: layout,
            isCosine: schema.metric == .cosine,
            vectors: UnsafeRawPointer(vectors),
            codes: codes,
            aux: UnsafePointer(aux)
        )
    }

    /// Ends a bulk build: takes its graph over, or goes on with the old one when there is none.
    ///
    /// Rows appended meanwhile stay hot, rows deleted meanwhile stay marked. A snapshot taken
    /// meanwhile keeps the old graph.
    /// - Precondition: `graph` comes from the job begun last.
    /// - Complexity: O(1).
    package func finishBulkBuild(_ graph: BulkGraph?) {
        precondition(isBuilding, "no bulk build was begun")
        isBuilding = false
        guard let graph else { return }
        precondition(graph.rowCount >= linkedCount && graph.rowCount <= rowCount)
        replaceGraph(graph)
        quantizer.encodedCount += graph.encodedCount
        quantizer.clampedCount += graph.clampedCount
        if Self.checksInvariants { mustHoldInvariants() }
    }
}
