internal import OmenSystem
package import OmenCore

/// An index made from the live rows of another, all of them linked.
///
/// Belongs to nobody yet; its receiver becomes its one owner.
package struct RebuiltIndex: @unchecked Sendable {
    package let index: VectorIndex
    /// The old row of each new one.
    package let sourceRows: [UInt32]
    package let times: BuildTimes
    /// Nil for fewer than `SearchCalibration.rowCountMin` rows.
    package var calibration: SearchCalibration? { index.calibration }
}

/// Builds a new index from rows of another, on any thread, once.
///
/// Reads only vectors and norms that were there at the beginning, which stand still, and holds the
/// memory they lie in itself; the other index goes on appending, deleting, linking and searching.
/// `@unchecked`: what is changed, only `run` touches, and that only once.
package final class RebuildJob: @unchecked Sendable {
    /// Rows that were alive, the held-out ones last.
    private var rows: [UInt32]
    let heldOutCount: Int
    private let vectors: ReservedRegion
    private let aux: ReservedRegion
    private let schema: CollectionSchema
    private let sample: CalibrationSample
    private let seed: UInt64
    private let builder: any GraphBuilder = ProcessorBuilder()
    private var hasRun = false

    fileprivate init(rows: [UInt32], of old: VectorIndex) {
        guard let vectors = old.regions[.vectors], let aux = old.regions[.aux] else {
            preconditionFailure("an index without memory")
        }
        self.vectors = vectors
        self.aux = aux
        schema = old.schema
        seed = old.seed
        self.rows = rows
        sample = old.sample
        heldOutCount =
            sample.vectors.isEmpty ? SearchCalibration.queryCount(of: rows.count) : 0
        // Evenly spread, each changed for one at the end.
        for i in 0..<heldOutCount {
            self.rows.swapAt(i * (rows.count / heldOutCount), rows.count - 1 - i)
        }
    }

    /// Builds it.
    ///
    /// Rows are numbered so that near ones lie near each other.
    /// - Parameters:
    ///   - helpers: Other threads; what is built is the same without them.
    ///   - progress: Called with thousandths done, now and then; roughly even.
    ///   - shouldStop: Asked every few microseconds in all long steps; may take its time, for
    ///     others to have some.
    /// - Returns: Nil when stopped.
    /// - Throws: `.resourceExhausted` without address space.
    /// - Precondition: Was not called before.
    /// - Complexity: O(rows * log(rows) * dim).
    package func run(
        helpers: BuildHelpers = .none,
        progress: @escaping (_ permille: Int) -> Void,
        shouldStop: @escaping () -> Bool
    ) throws(OmenError) -> RebuiltIndex? {
        precondition(!hasRun, "a rebuild job runs once")
        hasRun = true
        do {
            return try build(helpers, progress, shouldStop)
        } catch {
            switch error {
            case .stopped: return nil
            case .failed(let error): throw error
            }
        }
    }

    private func build(
        _ helpers: BuildHelpers,
        _ progress: @escaping (Int) -> Void,
        _ shouldStop: @escaping () -> Bool
    ) throws(BuildEnd) -> RebuiltIndex {
        let index: VectorIndex
        do throws(OmenError) {
            index = try VectorIndex(schema: schema, seed: seed)
        } catch {
            throw .failed(error)
        }
        index.sample = sample
        let bulkCount = rows.count - heldOutCount
        let pulse = BuildProgress(
            total: builder.unitCount(of: bulkCount, layout: index.layout),
            progress: progress,
            shouldStop: shouldStop
        )
        try pulse.check()
        var clock = BuildClock()
        try index.fill(rows, vectors: vectors.base, aux: aux.base, pulse)
        clock.lap(\.copy)
        let team = BuildTeam(pulse, helpers)
        var times = try builder.build(
            index,
            count: bulkCount,
            sourceRows: &rows,
            team: team
        )
        times.copy = clock.times.copy
        // Here, not in the first search of it; calibrating searches.
        index.codeStore.pack(linkedCount: index.linkedCount)
        var rest = BuildClock()
        if heldOutCount > 0 {
            let queries = bulkCount..<rows.count
            index.calibration = try Calibrator(index, queries: queries, areForeign: false, team)
                .run()
            while index.link(atMost: 16) > 0 { try pulse.check() }
        }
        if !sample.vectors.isEmpty, bulkCount >= SearchCalibration.rowCountMin {
            try index.calibrateWithSample(team)
        }
        index.calibratedLSN = sample.lsn
        rest.lap(\.calibration)
        times.calibration = rest.times.calibration
        index.graph.builtCount = rows.count
        if VectorIndex.checksInvariants { index.mustHoldInvariants() }
        progress(1000)
        return RebuiltIndex(
            index: index,
            sourceRows: rows,
            times: times
        )
    }
}

extension VectorIndex {
    /// Begins a rebuild from the rows that are alive now.
    ///
    /// - Complexity: O(rows).
    package func rebuildJob() -> RebuildJob {
        var rows: [UInt32] = []
        rows.reserveCapacity(liveCount)
        for row in 0..<rowCount {
            let row = UInt32(truncatingIfNeeded: row)
            if !UnsafePointer(rowStore.deleted).bit(row) { rows.append(row) }
        }
        return RebuildJob(rows: rows, of: self)
    }

    /// Copies rows of an index with the same schema into this one, which is empty, with codes from
    /// a quantizer trained on all of them.
    fileprivate func fill(
        _ rows: [UInt32],
        vectors oldVectors: UnsafeRawPointer,
        aux oldAux: UnsafeRawPointer,
        _ pulse: BuildProgress
    ) throws(BuildEnd) {
        guard !rows.isEmpty else { return }
        do throws(OmenError) {
            try reserve(rows.count)
        } catch {
            throw .failed(error)
        }
        advisePages(from: 0, to: rows.count)
        let norms = oldAux.assumingMemoryBound(to: Float.self)
        for (i, row) in rows.enumerated() {
            if i & 255 == 0 { try pulse.check() }
            let row = Int(row)
            (rowStore.vector(i)).copyMemory(
                from: oldVectors + row * layout.vectorStride,
                byteCount: layout.vectorStride
            )
            guard schema.metric != .l2 else { continue }
            if schema.metric == .ip {
                rowStore.noteSquaredNorm(norms[row], of: i)
            } else {
                rowStore.norms[i] = norms[row]
            }
        }
        rowStore.count = rows.count
        trainCodes()
        guard codeStore.areTraversed else { return }
        for i in 0..<rowCount {
            if i & 255 == 0 { try pulse.check() }
            codeStore.encode(i)
        }
    }
}
