internal import OmenCore

/// The calibration in an index's state section: one byte, 1 if there is one, then two curves.
extension SearchCalibration {
    static func encode(_ calibration: SearchCalibration?, into writer: inout ByteWriter) {
        writer.write(UInt8(calibration == nil ? 0 : 1))
        guard let calibration else { return }
        calibration.near.encode(into: &writer)
        calibration.far.encode(into: &writer)
    }

    static func decode(from reader: inout ByteReader) throws(OmenError) -> SearchCalibration? {
        let count = try reader.read(UInt8.self)
        guard count <= 1 else {
            throw OmenError(.corrupt, "section state: \(count) calibrations, expected 0 or 1")
        }
        guard count == 1 else { return nil }
        return SearchCalibration(
            near: try RecallCurve(from: &reader, rankCount: nearRankCount),
            far: try RecallCurve(from: &reader, rankCount: farRankCount)
        )
    }
}

extension RecallCurve {
    /// Most widths that a file may name.
    private static let efCountMax = 64

    /// The number of widths, and for each the width and its recalls.
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(efs.count))
        for (e, ef) in efs.enumerated() {
            writer.write(UInt32(ef))
            for k in 1...rankCount { writer.write(recall(at: e, k: k)) }
        }
    }

    /// - Throws: `.corrupt` for widths that do not ascend, or a recall that is none.
    fileprivate init(from reader: inout ByteReader, rankCount: Int) throws(OmenError) {
        let count = Int(try reader.read(UInt32.self))
        guard (1...Self.efCountMax).contains(count) else {
            throw OmenError(
                .corrupt,
                "section state: \(count) calibrated widths, expected 1...\(Self.efCountMax)"
            )
        }
        var efs: [Int] = []
        var recalls: [Float] = []
        for _ in 0..<count {
            let ef = Int(try reader.read(UInt32.self))
            guard ef > efs.last ?? 0, ef <= Limits.efMax else {
                throw OmenError(
                    .corrupt,
                    "section state: calibrated width \(ef) after \(efs.last ?? 0)"
                )
            }
            efs.append(ef)
            for _ in 0..<rankCount {
                let recall = try reader.readFloat()
                // Sums of rounded shares may pass 1 by a little.
                guard recall >= 0, recall <= 1.01 else {
                    throw OmenError(
                        .corrupt,
                        "section state: recall \(recall) at width \(ef), expected 0...1"
                    )
                }
                recalls.append(recall)
            }
        }
        self.init(efs: efs, rankCount: rankCount, recalls: recalls)
    }
}
