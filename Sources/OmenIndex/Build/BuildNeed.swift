package import OmenCore

/// Memory that a build takes beside what the index has that it replaces, in bytes.
///
/// Upper bounds. Real data take some two thirds of what is told for the last part.
package struct BuildNeed: Equatable, Sendable {
    /// The copy of vectors, codes and norms, which comes first and is kept.
    package var copyByteCount = 0
    /// Links and upper levels, which are kept.
    package var linkByteCount = 0
    /// What goes before the new index is used.
    package var scratchByteCount = 0

    package var total: Int { copyByteCount + linkByteCount + scratchByteCount }

    /// Groups of the comparison, candidates and results of one round, for small builds.
    private static let roundPlaceCountMin = 1 << 20
    /// Rounding to large pages, and what each thread has of its own.
    private static let fixedByteCount = 32 << 20

    /// What building `rowCount` rows takes; no row takes nothing.
    package init(rowCount: Int, schema: CollectionSchema) {
        guard rowCount > 0 else { return }
        let layout = RowLayout(schema)
        let hasOwnCodes = layout.termCount > 0
        let norm = schema.metric == .l2 ? 0 : 4
        let codes =
            (hasOwnCodes ? layout.codeStride : 0) + layout.packedStride + layout.termCount * 4
        copyByteCount = rowCount * (layout.vectorStride + codes + norm)
        let upper = layout.nodeWords * 4 / (schema.m - 1) + 1
        // And a bit of deletion and a stamp.
        linkByteCount = rowCount * (layout.baseSlots * 4 + upper + 2)
        let plan = BuildPlan(
            slots: layout.baseSlots,
            count: rowCount,
            dim: schema.dim,
            byProduct: schema.metric == .ip
        )
        // Numbers of rows: captured, reordered, of the layer, in groups.
        let numbers = 24
        let candidates = max(0, plan.candidateCountMax - layout.baseSlots) * 4 + 2
        let groups = plan.fanOut * (2 + 2 + 4)
        let placeCount = min(
            rowCount * plan.fanOut,
            max(Self.roundPlaceCountMin, rowCount / 2 + 2 * BuildPlan.leafCountMax)
        )
        let results = placeCount * 4 * (plan.placeCount + 1)
        // Chains of links back that found no room, of eight bytes each: up to three quarters of all
        // links. Rows without any structure, the worst there are, leave 18 of 32.
        let waiting = rowCount * (4 + layout.baseSlots * 6)
        scratchByteCount =
            rowCount * (numbers + candidates + groups) + results + waiting + Self.fixedByteCount
    }
}

extension VectorIndex {
    /// Memory that a rebuild of this index from its live rows would take now.
    package var buildNeed: BuildNeed { BuildNeed(rowCount: liveCount, schema: schema) }
}
