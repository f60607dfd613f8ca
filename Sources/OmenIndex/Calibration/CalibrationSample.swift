package import OmenCore

/// Queries that an owner gave to calibrate an index with, of the type that its vectors have.
package struct CalibrationSample: Equatable, Sendable {
    /// LSN of the operation that brought them; 0 without any.
    package let lsn: UInt64
    /// The elements, query after query without padding; shape `[count][dim]`.
    package let vectors: [UInt8]

    /// No queries: rows of the index stand for them.
    package init() {
        lsn = 0
        vectors = []
    }

    /// The queries of an operation; without any it does not matter which operation it was.
    ///
    /// - Precondition: At most `Limits.sampleCountKept` valid queries; the LSN is above 0.
    package init(lsn: UInt64, vectors: [UInt8]) {
        precondition(lsn > 0, "operations are numbered from 1 on")
        self.lsn = vectors.isEmpty ? 0 : lsn
        self.vectors = vectors
    }
}

extension VectorIndex {
    /// Whether what is known about searches is out of date: the sample is another one than that of
    /// the last build; or as many far rows came since then as are kept, in an eighth of all rows.
    package var awaitsCalibration: Bool {
        sample.lsn != calibratedLSN
            || (graph.landmarks.count - graph.chosenLandmarkCount >= Landmarks.farCountMax
                && (rowCount - builtCount) * 8 > rowCount)
    }

    /// What was measured, for people to see; nil when nothing was.
    package var calibrationTable: CalibrationTable? {
        guard let calibration else { return nil }
        let curves = CalibrationTable.ks.map { k in
            let curve = k <= calibration.near.rankCount ? calibration.near : calibration.far
            return curve.efs.indices.map {
                CalibrationTable.Point(
                    ef: curve.efs[$0],
                    recall: min(1, curve.recall(at: $0, k: k))
                )
            }
        }
        return CalibrationTable(isOfSample: calibratedLSN != 0, curves: curves)
    }

    /// Calibrates with the sample, whose queries are rows behind all others meanwhile.
    ///
    /// - Precondition: Nobody else uses the index; all rows are linked, none is deleted; there is a
    ///   sample.
    func calibrateWithSample(_ team: BuildTeam) throws(BuildEnd) {
        // A full index goes without.
        guard sample.vectors.count / schema.vectorByteCount <= rowCountMax - rowCount else {
            return
        }
        let (count, before) = (rowCount, (rowStore.squaredNormMin, rowStore.squaredNormMax))
        defer { rowStore.count = count }
        let failure: OmenError? = sample.vectors.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            do throws(OmenError) {
                for start in stride(from: 0, to: bytes.count, by: schema.vectorByteCount) {
                    _ = try append(base + start)
                }
                return nil
            } catch { return error }
        }
        // Queries say nothing about how long rows are.
        (rowStore.squaredNormMin, rowStore.squaredNormMax) = before
        if let failure { throw .failed(failure) }
        let calibrator = try Calibrator(self, queries: count..<rowCount, areForeign: true, team)
        calibration = try calibrator.run()
    }
}

extension CalibrationSample {
    /// The last part of an index's state section; see `StateFormat`.
    func encode(calibratedLSN: UInt64, vectorByteCount: Int, into writer: inout ByteWriter) {
        writer.write(lsn)
        writer.write(calibratedLSN)
        writer.write(UInt32(vectors.count / vectorByteCount))
        writer.write(raw: vectors)
    }

    /// - Throws: `.corrupt` for more queries than are kept, an LSN without queries or queries
    ///   without one, and values that no query may have.
    static func decode(
        from reader: inout ByteReader,
        schema: CollectionSchema
    ) throws(OmenError) -> (sample: CalibrationSample, calibratedLSN: UInt64) {
        let offset = reader.offset
        let lsn = try reader.read(UInt64.self)
        let calibratedLSN = try reader.read(UInt64.self)
        let count = Int(try reader.read(UInt32.self))
        guard count <= Limits.sampleCountKept, (lsn == 0) == (count == 0) else {
            throw OmenError(
                .corrupt,
                "section state, offset \(offset): \(count) queries in the sample of LSN \(lsn)"
            )
        }
        guard count > 0 else { return (CalibrationSample(), calibratedLSN) }
        let vectors = Array(try reader.read(count: count * schema.vectorByteCount))
        do throws(OmenError) {
            try VectorValidation.check(
                vectors,
                element: schema.element,
                dim: schema.dim,
                metric: schema.metric,
                what: "query",
                rules: .stored
            )
        } catch {
            throw OmenError(.corrupt, "section state, offset \(offset): \(error.message)")
        }
        return (CalibrationSample(lsn: lsn, vectors: vectors), calibratedLSN)
    }
}
