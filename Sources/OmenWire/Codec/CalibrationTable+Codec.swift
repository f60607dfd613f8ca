internal import OmenCore

/// A byte: 0 for no table, 1 for one of rows, 2 for one of a sample; then each curve.
extension CalibrationTable {
    static func encode(_ table: CalibrationTable?, into writer: inout ByteWriter) {
        guard let table else { return writer.write(UInt8(0)) }
        writer.write(UInt8(table.isOfSample ? 2 : 1))
        for curve in table.curves {
            writer.write(UInt8(clamping: curve.count))
            for point in curve {
                writer.write(UInt32(clamping: point.ef))
                writer.write(point.recall)
            }
        }
    }

    /// - Throws: `.protocolViolation` for too many widths, for widths that do not ascend, and for a
    ///   recall outside of 0...1.
    static func decode(from reader: inout ByteReader) throws(OmenError) -> CalibrationTable? {
        let kind = try reader.read(UInt8.self)
        guard kind <= 2 else {
            throw OmenError(.protocolViolation, "calibration \(kind) is unknown, expected 0...2")
        }
        guard kind > 0 else { return nil }
        var curves: [[Point]] = []
        for _ in ks { curves.append(try decodeCurve(from: &reader)) }
        return CalibrationTable(isOfSample: kind == 2, curves: curves)
    }

    private static func decodeCurve(
        from reader: inout ByteReader
    ) throws(OmenError) -> [Point] {
        let count = Int(try reader.read(UInt8.self))
        guard count <= pointCountMax else {
            throw OmenError(
                .protocolViolation,
                "\(count) calibrated widths, expected at most \(pointCountMax)"
            )
        }
        var curve: [Point] = []
        for _ in 0..<count {
            let ef = Int(try reader.read(UInt32.self))
            let recall = try reader.readFloat()
            guard ef > curve.last?.ef ?? 0, ef <= Limits.efMax, recall >= 0, recall <= 1 else {
                throw OmenError(
                    .protocolViolation,
                    "recall \(recall) at width \(ef) after \(curve.last?.ef ?? 0)"
                )
            }
            curve.append(Point(ef: ef, recall: recall))
        }
        return curve
    }
}
