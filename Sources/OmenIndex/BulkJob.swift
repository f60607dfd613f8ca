internal import COmenKernels
internal import Glibc
package import OmenCore

/// A bulk build of one index, to be run on any thread.
///
/// Reads rows that stand still until the build is finished, and nothing that may change; holds the
/// memory they lie in itself.
package final class BulkJob: @unchecked Sendable {
    private let source: BulkSource
    private let schema: CollectionSchema
    /// Rows from here on have no code yet; nil when there are no codes to write.
    private let encoder: BulkEncoder?
    private let retained: [ReservedRegion]

    init(
        source: BulkSource,
        schema: CollectionSchema,
        encoder: BulkEncoder?,
        retained: [ReservedRegion]
    ) {
        self.source = source
        self.schema = schema
        self.encoder = encoder
        self.retained = retained
    }

    /// Builds the graph.
    ///
    /// Deterministic: the same rows, deletions and seed give the same graph. Takes about 320 bytes
    /// of scratch memory per row with standard parameters, besides the links.
    /// - Parameters:
    ///   - progress: Called with the share done, now and then; roughly even.
    ///   - shouldStop: Asked every few hundred rows.
    /// - Returns: Nil when stopped.
    /// - Throws: `.resourceExhausted` when there is no memory.
    /// - Complexity: O(rows * log(rows) * dim) for data that random leaders divide evenly.
    package func run(
        progress: @escaping (Double) -> Void = { _ in },
        shouldStop: @escaping () -> Bool = { false }
    ) throws(OmenError) -> BulkGraph? {
        do {
            return try build(progress: progress, shouldStop: shouldStop)
        } catch {
            switch error {
            case .stopped: return nil
            case .failed(let error): throw error
            }
        }
    }

    private func build(
        progress: @escaping (Double) -> Void,
        shouldStop: @escaping () -> Bool
    ) throws(BulkEnd) -> BulkGraph {
        let layout = source.layout
        let plan = Self.plan(slots: layout.baseSlots, count: source.rowCount)
        // Comparing in groups, choosing links and linking back.
        let pulse = BulkPulse(
            total: Double(source.rowCount) * Double(plan.fanOut + 2) * 1.07,
            progress: progress,
            shouldStop: shouldStop
        )
        var clock = BulkClock()
        let clampedCount = try encoder?.run(pulse) ?? 0
        clock.lap(\.encode)
        var rows: [UInt32] = []
        rows.reserveCapacity(source.rowCount)
        for row in 0..<source.rowCount where !source.isDeleted(row) {
            rows.append(UInt32(truncatingIfNeeded: row))
        }
        let links = try Self.region(
            VectorIndex.regionByteCountMax(.links, schema: schema),
            used: source.rowCount * layout.baseSlots * 4
        )
        let lists = links.base.assumingMemoryBound(to: UInt32.self)
        try layer(
            rows,
            lists,
            stride: layout.baseSlots,
            slots: layout.baseSlots,
            level: 0,
            plan: plan,
            pulse: pulse,
            clock: &clock
        )
        spread(rows, lists)
        var graphRegions: [VectorIndex.Section: ReservedRegion] = [.links: links]
        var counts = [Int](repeating: 0, count: VectorIndex.Section.uppers.count)
        var entry = rows.first.map { VectorIndex.Entry(level: 0, slot: $0) }
        var upperClock = BulkClock()
        for level in 1...VectorIndex.Section.uppers.count {
            guard let region = try upper(level, rows, &counts, below: graphRegions, pulse: pulse)
            else { break }
            graphRegions[VectorIndex.Section.uppers[level - 1]] = region
            entry = VectorIndex.Entry(level: level, slot: 0)
        }
        upperClock.lap(\.upper)
        clock.times.upper = upperClock.times.upper
        progress(1)
        return BulkGraph(
            rowCount: source.rowCount,
            times: clock.times,
            regions: graphRegions,
            upperCounts: counts,
            entry: entry,
            encodedCount: encoder?.rows.count ?? 0,
            clampedCount: clampedCount
        )
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

    private func layer(
        _ rows: [UInt32],
        _ lists: UnsafeMutablePointer<UInt32>,
        stride: Int,
        slots: Int,
        level: Int,
        plan: BulkPlan,
        pulse: BulkPulse,
        clock: inout BulkClock
    ) throws(BulkEnd) {
        try rows.withUnsafeBufferPointer { rows throws(BulkEnd) in
            guard let base = rows.baseAddress else { return }
            let layer = BulkLayer(
                source,
                rows: base,
                count: rows.count,
                lists: lists,
                listStride: stride,
                slots: slots,
                plan: plan,
                seed: source.seed &+ UInt64(level) << 32,
                pulse: pulse
            )
            try layer.run(clock: &clock)
        }
    }

    /// Moves the lists of positions to their rows, where deleted rows lie between.
    private func spread(_ rows: [UInt32], _ lists: UnsafeMutablePointer<UInt32>) {
        guard rows.count < source.rowCount else { return }
        let slots = source.layout.baseSlots
        for i in 0..<rows.count * slots where lists[i] != Link.none {
            lists[i] = rows[Int(lists[i] & Link.rowMask)] | lists[i] & Link.pinned
        }
        var next = source.rowCount
        // From the end: a row never lies before its position.
        for position in stride(from: rows.count - 1, through: 0, by: -1) {
            let row = Int(rows[position])
            clear(lists, row + 1..<next)
            if row != position {
                (lists + row * slots).update(from: lists + position * slots, count: slots)
            }
            next = row
        }
        clear(lists, 0..<next)
    }

    private func clear(_ lists: UnsafeMutablePointer<UInt32>, _ rows: Range<Int>) {
        let slots = source.layout.baseSlots
        (lists + rows.lowerBound * slots).update(repeating: Link.none, count: rows.count * slots)
    }

    /// Builds one upper level over the rows drawn for it; nil when there are none.
    private func upper(
        _ level: Int,
        _ rows: [UInt32],
        _ counts: inout [Int],
        below: [VectorIndex.Section: ReservedRegion],
        pulse: BulkPulse
    ) throws(BulkEnd) -> ReservedRegion? {
        let layout = source.layout
        let drawn = drawnRows(rows, level: level)
        guard !drawn.isEmpty else { return nil }
        let section = VectorIndex.Section.uppers[level - 1]
        let region = try Self.region(
            VectorIndex.regionByteCountMax(section, schema: schema),
            used: drawn.count * layout.nodeWords * 4
        )
        let nodes = region.base.assumingMemoryBound(to: UInt32.self)
        var slotBelow: UInt32 = 0
        let nodesBelow =
            level == 1
            ? nil
            : below[VectorIndex.Section.uppers[level - 2]]?.base
                .assumingMemoryBound(to: UInt32.self)
        for (slot, row) in drawn.enumerated() {
            nodes[slot * layout.nodeWords] = row
            if let nodesBelow {
                while nodesBelow[Int(slotBelow) * layout.nodeWords] != row { slotBelow += 1 }
                nodes[slot * layout.nodeWords + 1] = slotBelow
            } else {
                nodes[slot * layout.nodeWords + 1] = row
            }
        }
        counts[level - 1] = drawn.count
        var clock = BulkClock()
        try layer(
            drawn,
            nodes + 2,
            stride: layout.nodeWords,
            slots: layout.upperSlots,
            level: level,
            plan: Self.plan(slots: layout.baseSlots, count: drawn.count),
            pulse: pulse,
            clock: &clock
        )
        // Only level 0 knows pinned links.
        for slot in drawn.indices {
            let list = nodes + slot * layout.nodeWords + 2
            for i in 0..<layout.upperSlots where list[i] != Link.none { list[i] &= Link.rowMask }
        }
        return region
    }

    /// Rows whose level is at least `level`, as streaming draws it.
    private func drawnRows(_ rows: [UInt32], level: Int) -> [UInt32] {
        let most = source.layout.nodeCountMax(level: level)
        var drawn: [UInt32] = []
        for row in rows where drawn.count < most {
            let found = VectorIndex.level(of: row, seed: source.seed, m: schema.m) { _ in true }
            if found >= level { drawn.append(row) }
        }
        return drawn
    }

    private static func region(_ byteCountMax: Int, used: Int) throws(BulkEnd) -> ReservedRegion {
        do {
            let region = try ReservedRegion(byteCountMax: byteCountMax)
            if used >= 1 << 20 { _ = madvise(region.base, byteCountMax, MADV_HUGEPAGE) }
            return region
        } catch {
            throw .failed(error)
        }
    }
}

/// Writes the codes that a bulk build needs and no search reads yet.
struct BulkEncoder: @unchecked Sendable {
    let rows: Range<Int>
    let scale: Float
    let offsets: [Float]
    let layout: RowLayout
    let isCosine: Bool
    let vectors: UnsafeRawPointer
    let codes: UnsafeMutableRawPointer
    let aux: UnsafePointer<Float>

    /// - Returns: How many elements were clamped.
    func run(_ pulse: BulkPulse) throws(BulkEnd) -> Int {
        let encode = Kernels.best.pointee.encode
        var clamped = 0
        for row in rows {
            if row & 1023 == 0 { try pulse.check() }
            clamped += encode(
                (vectors + row * layout.vectorStride).assumingMemoryBound(to: Float.self),
                isCosine ? aux[row] : 1,
                offsets,
                1 / scale,
                layout.dim,
                (codes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
            )
        }
        return clamped
    }
}
