internal import Glibc
package import OmenCore

/// An index made anew from the live rows of another, all of them linked.
package struct RebuiltIndex: @unchecked Sendable {
    package let index: VectorIndex
    /// The old row of each new one.
    package let sourceRows: [UInt32]
    /// Nil for a small index.
    package let calibration: SearchCalibration?
    package let times: BulkTimes
}

/// Builds a new index from rows of another that stand still, on any thread, once.
///
/// Holds the memory the rows lie in; the other index goes on appending, deleting, linking and
/// searching meanwhile.
package final class RebuildJob: @unchecked Sendable {
    private let schema: CollectionSchema
    private let seed: UInt64
    /// Rows that were alive; the held-out ones are last.
    private var rows: [UInt32]
    private let heldOutCount: Int
    private let region: ReservedRegion
    private let stride: Int

    fileprivate init(
        schema: CollectionSchema,
        seed: UInt64,
        rows: [UInt32],
        region: ReservedRegion,
        stride: Int
    ) {
        self.schema = schema
        self.seed = seed
        self.region = region
        self.stride = stride
        // Under ip rows are no sample of the queries: their nearest is not what is searched for.
        let isCalibrated = rows.count >= VectorIndex.calibratedRowCountMin && schema.metric != .ip
        heldOutCount = isCalibrated ? VectorIndex.heldOutCountMax : 0
        self.rows = rows
        // Evenly spread, each changed for one at the end.
        for i in 0..<heldOutCount {
            self.rows.swapAt(i * (rows.count / heldOutCount), rows.count - 1 - i)
        }
    }

    /// Builds it.
    ///
    /// Takes about 330 bytes of scratch memory per row besides the new index.
    /// - Parameters:
    ///   - progress: Called with thousandths done, now and then; roughly even.
    ///   - shouldStop: Asked every few hundred rows.
    /// - Returns: Nil when stopped. Rows are numbered so that near ones lie near each other.
    /// - Throws: `.resourceExhausted` without address space.
    package func run(
        progress: @escaping (_ permille: Int) -> Void,
        shouldStop: @escaping () -> Bool
    ) throws(OmenError) -> RebuiltIndex? {
        do {
            return try build(progress, shouldStop)
        } catch {
            switch error {
            case .stopped: return nil
            case .failed(let error): throw error
            }
        }
    }

    private func build(
        _ progress: @escaping (Int) -> Void,
        _ shouldStop: @escaping () -> Bool
    ) throws(BulkEnd) -> RebuiltIndex {
        let bulkCount = rows.count - heldOutCount
        let pulse = BulkPulse(
            total: BulkBuild.unitCount(of: bulkCount),
            progress: { progress(Int($0 * 1000)) },
            shouldStop: shouldStop
        )
        var clock = BulkClock()
        let index = try copy(pulse)
        index.encodeAll()
        clock.lap(\.copy)
        var build = BulkBuild(index, count: bulkCount, pulse: pulse)
        try build.run(sourceRows: &rows)
        var times = build.times
        times.copy = clock.times.copy
        var rest = BulkClock()
        var calibration: SearchCalibration?
        if heldOutCount > 0 {
            calibration = index.calibrate()
            while index.link(atMost: 16) > 0 { try pulse.check() }
        }
        rest.lap(\.calibration)
        times.calibration = rest.times.calibration
        // Here, not in the first search of it.
        index.packCodes()
        if VectorIndex.checksInvariants { index.mustHoldInvariants() }
        return RebuiltIndex(
            index: index,
            sourceRows: rows,
            calibration: calibration,
            times: times
        )
    }

    private func copy(_ pulse: BulkPulse) throws(BulkEnd) -> VectorIndex {
        let index: VectorIndex
        do throws(OmenError) {
            index = try VectorIndex(schema: schema, seed: seed)
        } catch { throw .failed(error) }
        for (i, row) in rows.enumerated() {
            if i & 4095 == 0 { try pulse.check() }
            do throws(OmenError) {
                _ = try index.append(region.base + Int(row) * stride)
            } catch { throw .failed(error) }
        }
        return index
    }
}

extension VectorIndex {
    /// Begins a rebuild from the rows that are alive now.
    ///
    /// - Complexity: O(rows).
    package func rebuildJob() -> RebuildJob {
        var rows: [UInt32] = []
        rows.reserveCapacity(liveCount)
        for row in 0..<rowCount where !UnsafePointer(deleted).bit(UInt32(truncatingIfNeeded: row)) {
            rows.append(UInt32(truncatingIfNeeded: row))
        }
        guard let region = regions[.vectors] else { preconditionFailure("no vectors") }
        return RebuildJob(
            schema: schema,
            seed: seed,
            rows: rows,
            region: region,
            stride: layout.vectorStride
        )
    }

    /// Trains the quantizer on all rows and encodes those that will be linked at once.
    fileprivate func encodeAll() {
        guard rowCount > 0 else { return }
        prepareCodes()
        guard traversesCodes else { return }
        for row in 0..<rowCount { encode(row) }
    }
}
