internal import COmenKernels
internal import Glibc
internal import OmenCore

/// Builds the whole graph of an index that nobody uses yet.
///
/// After an overlapping partition of the rows (as in HCNNG, Munoz et al., 2019, and PiPNN) each row
/// knows near rows of all its groups; the occlusion rule thins them to links, links back are added,
/// and a spanning tree of pinned links joins what fell apart. Upper levels are drawn as in
/// streaming, and built in the same way.
struct BulkBuild {
    let index: VectorIndex
    /// Rows `0..<count` get links; those behind stay hot.
    let count: Int
    let pulse: BulkPulse
    private(set) var times = BulkTimes()

    init(_ index: VectorIndex, count: Int, pulse: BulkPulse) {
        self.index = index
        self.count = count
        self.pulse = pulse
    }

    /// Units that `run` advances `pulse` by.
    static func unitCount(of count: Int) -> Double {
        // Comparing in groups, choosing links and linking back, on all levels.
        Double(count) * Double(plan(slots: 32, count: count).fanOut + 2) * 1.07
    }

    /// Renumbers the rows so that near ones lie near each other, and links them.
    ///
    /// Deterministic: the same rows and seed give the same graph.
    /// - Parameter sourceRows: One number per row, renumbered along.
    /// - Throws: `BulkEnd`.
    /// - Complexity: O(count * log(count) * dim) for data that random leaders divide evenly.
    mutating func run(sourceRows: inout [UInt32]) throws(BulkEnd) {
        let layout = index.layout
        let rows = (0..<count).map { UInt32(truncatingIfNeeded: $0) }
        index.advisePages(from: 0, to: count)
        var clock = BulkClock()
        let plan = Self.plan(slots: layout.baseSlots, count: count)
        let index = index
        try level(rows, index.links, stride: layout.baseSlots, 0, plan, &clock) { order in
            sourceRows.permute(order)
            index.permute(order)
            return true
        }
        var upperClock = BulkClock()
        var entry = rows.first.map { VectorIndex.Entry(level: 0, slot: $0) }
        for level in 1...VectorIndex.Section.uppers.count {
            let drawn = drawnRows(rows, level: level)
            guard !drawn.isEmpty else { break }
            try upper(level, drawn)
            entry = VectorIndex.Entry(level: level, slot: 0)
        }
        upperClock.lap(\.upper)
        times = clock.times
        times.upper = upperClock.times.upper
        index.entry = entry
        index.linkedCount = count
    }

    /// More candidates where a list has more slots than usual, and all where there are few rows.
    private static func plan(slots: Int, count: Int) -> BulkPlan {
        var plan = BulkPlan()
        if count <= plan.leafCountMax {
            plan.fanOut = 1
            plan.nearestCount = max(32, slots)
        } else {
            plan.nearestCount = max(10, slots / 3)
        }
        return plan
    }

    private func level(
        _ rows: [UInt32],
        _ lists: UnsafeMutablePointer<UInt32>,
        stride: Int,
        _ level: Int,
        _ plan: BulkPlan,
        _ clock: inout BulkClock,
        renumber: (_ order: [UInt32]) -> Bool = { _ in false }
    ) throws(BulkEnd) {
        try rows.withUnsafeBufferPointer { rows throws(BulkEnd) in
            guard let base = rows.baseAddress else { return }
            let layer = BulkLayer(
                BulkSource(index),
                rows: base,
                count: rows.count,
                lists: lists,
                listStride: stride,
                slots: level == 0 ? index.layout.baseSlots : index.layout.upperSlots,
                plan: plan,
                seed: index.seed &+ UInt64(level) << 32,
                pulse: pulse
            )
            try layer.run(clock: &clock, renumber: renumber)
        }
    }

    /// Builds one upper level over the rows drawn for it.
    private func upper(_ level: Int, _ drawn: [UInt32]) throws(BulkEnd) {
        let layout = index.layout
        let upper = index.upper(level)
        var below: UInt32 = 0
        for (slot, row) in drawn.enumerated() {
            if level == 1 {
                below = row
            } else {
                // Whatever is drawn for a level was drawn for the one below, in the same order.
                while index.upper(level - 1).row(below) != row { below += 1 }
            }
            upper.nodes[slot * layout.nodeWords] = row
            upper.nodes[slot * layout.nodeWords + 1] = below
        }
        index.upperCounts[level - 1] = drawn.count
        var clock = BulkClock()
        let plan = Self.plan(slots: layout.baseSlots, count: drawn.count)
        try self.level(drawn, upper.nodes + 2, stride: layout.nodeWords, level, plan, &clock)
        // Only level 0 knows pinned links.
        for slot in drawn.indices {
            let list = upper.links(UInt32(truncatingIfNeeded: slot))
            for i in 0..<layout.upperSlots where list[i] != Link.none { list[i] &= Link.rowMask }
        }
    }

    /// Rows whose level is at least `level`, as streaming draws it.
    private func drawnRows(_ rows: [UInt32], level: Int) -> [UInt32] {
        let most = index.layout.nodeCountMax(level: level)
        var drawn: [UInt32] = []
        for row in rows where drawn.count < most {
            let found = VectorIndex.level(of: row, seed: index.seed, m: index.schema.m) { _ in true
            }
            if found >= level { drawn.append(row) }
        }
        return drawn
    }
}

extension VectorIndex {
    /// Renumbers the first rows, which have no links yet: row i becomes what was row `order[i]`.
    func permute(_ order: [UInt32]) {
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: max(layout.vectorStride, layout.codeStride),
            alignment: 64
        )
        defer { bytes.deallocate() }
        func move(_ base: UnsafeMutableRawPointer, _ stride: Int) {
            order.followCycles(
                save: { bytes.copyMemory(from: base + $0 * stride, byteCount: stride) },
                move: {
                    (base + $1 * stride).copyMemory(from: base + $0 * stride, byteCount: stride)
                },
                restore: { (base + $0 * stride).copyMemory(from: bytes, byteCount: stride) }
            )
        }
        move(vectors, layout.vectorStride)
        if traversesCodes { move(codes, layout.codeStride) }
        if schema.metric != .l2 { move(aux, MemoryLayout<Float>.stride) }
    }
}

extension [UInt32] {
    /// Puts element `order[i]` in place i, for the first elements.
    fileprivate mutating func permute(_ order: [UInt32]) {
        let old = self
        for (i, source) in order.enumerated() { self[i] = old[Int(source)] }
    }

    /// Carries out the permutation in which place i receives what is at `self[i]`, cycle by cycle.
    ///
    /// - Complexity: O(count) moves, and a bit per element.
    fileprivate func followCycles(
        save: (Int) -> Void,
        move: (_ from: Int, _ to: Int) -> Void,
        restore: (Int) -> Void
    ) {
        var done = [Bool](repeating: false, count: count)
        for first in indices where !done[first] && self[first] != first {
            save(first)
            var place = first
            while true {
                done[place] = true
                let source = Int(self[place])
                if source == first { break }
                move(source, place)
                place = source
            }
            restore(place)
        }
    }
}
