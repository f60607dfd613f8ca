internal import OmenCore

/// The calibration at the end of an index's state section.
extension SearchCalibration {
    /// Most widths that a file may name.
    private static let efCountMax = 64

    /// The number of widths, and for each the width and its recalls; 0 stands for nil.
    static func encode(_ calibration: SearchCalibration?, into writer: inout ByteWriter) {
        writer.write(UInt32(calibration?.efs.count ?? 0))
        guard let calibration else { return }
        for (e, ef) in calibration.efs.enumerated() {
            writer.write(UInt32(ef))
            for k in 1...rankCount { writer.write(calibration.recall(at: e, k: k)) }
        }
    }

    static func decode(from reader: inout ByteReader) throws(OmenError) -> SearchCalibration? {
        let count = Int(try reader.read(UInt32.self))
        guard count > 0 else { return nil }
        guard count <= efCountMax else {
            throw OmenError(
                .corrupt,
                "section state: \(count) calibrated widths, expected at most \(efCountMax)"
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
        return SearchCalibration(efs: efs, recalls: recalls)
    }
}
