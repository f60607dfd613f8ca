internal import COmenKernels
internal import OmenCore

/// Builds the whole graph of an index that nobody uses yet.
///
/// After an overlapping partition of the rows (as in HCNNG, Munoz et al., 2019, and PiPNN) each row
/// knows near rows of all its groups; the occlusion rule thins them to links, links back are added,
/// and a spanning tree of pinned links joins what fell apart. Upper levels are drawn as in
/// streaming, and built in the same way.
struct BulkBuilder {
    let index: VectorIndex
    /// Rows `0..<count` are linked; those behind stay hot.
    let count: Int
    let team: BuildTeam
    private(set) var clock = BuildClock()

    init(_ index: VectorIndex, count: Int, team: BuildTeam) {
        self.index = index
        self.count = count
        self.team = team
    }

    /// Units that `run` advances its pulse by: comparing in groups, choosing links and linking
    /// back, on all levels.
    static func unitCount(of count: Int, slots: Int, dim: Int) -> Double {
        Double(count) * Double(BuildPlan(slots: slots, count: count, dim: dim).fanOut + 2) * 1.07
    }

    /// Renumbers the rows so that near ones lie near each other, and links them.
    ///
    /// Deterministic: the same rows and seed give the same graph, on any number of threads.
    /// - Parameter sourceRows: One number per row, renumbered along.
    /// - Throws: `.stopped`, or `.failed` without memory.
    /// - Complexity: O(count * log(count) * dim) for data that random leaders divide evenly.
    mutating func run(sourceRows: inout [UInt32]) throws(BuildEnd) {
        guard count > 0 else { return }
        try linkBase(sourceRows: &sourceRows)
        index.graph.linkedCount = count
        if index.schema.metric == .ip { index.graph.findLongRows(of: index.rowStore) }
        addNodes()
        var rest = BuildClock()
        for level in 1...VectorIndex.Section.uppers.count
        where index.graph.upperCounts[level - 1] > 0 {
            try linkUpper(level)
        }
        rest.lap(\.upper)
        clock.times.upper = rest.times.upper
    }

    private mutating func linkBase(sourceRows: inout [UInt32]) throws(BuildEnd) {
        let layout = index.layout
        let layer = try BuildLayer(
            BuildSource(index, withProducts: true),
            rows: .numbers(count),
            lists: index.graph.links,
            listStride: layout.baseSlots,
            slots: layout.baseSlots,
            plan: BuildPlan(
                slots: layout.baseSlots,
                count: count,
                dim: index.schema.dim,
                byProduct: index.rowStore.areLinkedByProduct
            ),
            seed: index.seed,
            team: team
        )
        var partition = try layer.partition()
        if let found = partition {
            let order = found.order()
            sourceRows.permute(order)
            try index.permute(order, team.pulses[0])
            partition = found.permuted(order)
        }
        clock.lap(\.partition)
        try layer.link(partition, clock: &clock)
    }

    /// Draws the levels of all rows as streaming does, and chooses the entry point.
    private func addNodes() {
        for row in 0..<count {
            let row = UInt32(truncatingIfNeeded: row)
            let top = index.graph.addNodes(
                row,
                level: index.graph.level(of: row, rowCapacity: index.rowStore.capacity)
            )
            if top.level > index.graph.entry?.level ?? -1 { index.graph.entry = top }
        }
    }

    private func linkUpper(_ level: Int) throws(BuildEnd) {
        let layout = index.layout
        let upper = index.graph.upper(level)
        let nodeCount = index.graph.upperCounts[level - 1]
        let rows = try BuildMemory<UInt32>(count: nodeCount)
        for slot in 0..<nodeCount { rows[slot] = upper.row(UInt32(truncatingIfNeeded: slot)) }
        let layer = try BuildLayer(
            BuildSource(index),
            rows: rows,
            lists: upper.links(0),
            listStride: layout.nodeWords,
            slots: layout.upperSlots,
            plan: BuildPlan(slots: layout.baseSlots, count: nodeCount, dim: index.schema.dim),
            seed: index.seed &+ UInt64(level) << 32,
            team: team
        )
        var clock = BuildClock()
        try layer.link(nil, clock: &clock)
        // Only level 0 knows pinned links.
        for slot in 0..<nodeCount {
            let list = layer.list(slot)
            for i in 0..<layout.upperSlots where list[i] != Link.none { list[i] &= Link.rowMask }
        }
    }
}

extension VectorIndex {
    /// Renumbers the first rows, which have no links yet: row i becomes what was row `order[i]`.
    func permute(_ order: [UInt32], _ pulse: BuildProgress) throws(BuildEnd) {
        try Self.permute(rowStore.vectors, stride: layout.vectorStride, order, pulse)
        if codeStore.areTraversed {
            try Self.permute(codeStore.bytes, stride: layout.codeStride, order, pulse)
            if schema.metric == .ip {
                let stride = layout.termCount * MemoryLayout<Float>.stride
                try Self.permute(codeStore.terms, stride: stride, order, pulse)
            }
        }
        guard schema.metric != .l2 else { return }
        try Self.permute(rowStore.norms, stride: MemoryLayout<Float>.stride, order, pulse)
    }

    /// Carries out a permutation of elements of `stride` bytes in place, cycle by cycle.
    ///
    /// - Complexity: O(order.count) moves.
    private static func permute(
        _ base: UnsafeMutableRawPointer,
        stride: Int,
        _ order: [UInt32],
        _ pulse: BuildProgress
    ) throws(BuildEnd) {
        let saved = UnsafeMutableRawPointer.allocate(byteCount: stride, alignment: 64)
        defer { saved.deallocate() }
        var done = [Bool](repeating: false, count: order.count)
        var moveCount = 0
        for first in order.indices where !done[first] {
            saved.copyMemory(from: base + first * stride, byteCount: stride)
            var place = first
            while true {
                done[place] = true
                moveCount += 1
                if moveCount & 255 == 0 { try pulse.check() }
                let source = Int(order[place])
                if source == first { break }
                (base + place * stride).copyMemory(from: base + source * stride, byteCount: stride)
                place = source
            }
            (base + place * stride).copyMemory(from: saved, byteCount: stride)
        }
    }
}

extension [UInt32] {
    /// Puts element `order[i]` in place i, for the first elements.
    fileprivate mutating func permute(_ order: [UInt32]) {
        let old = self
        for (i, source) in order.enumerated() { self[i] = old[Int(source)] }
    }
}
