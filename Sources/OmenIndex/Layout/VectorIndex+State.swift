internal import OmenCore

extension VectorIndex {
    /// Bytes of the state section; little-endian.
    ///
    ///     offset size field
    ///          0    4 magic "OIX1"
    ///          4    4 version, 3
    ///          8    4 dim
    ///         12    4 metric, element, codes, m: one byte each
    ///         16    8 seed
    ///         24    8 rowCount
    ///         32    8 linkedCount
    ///         40    8 deletedCount
    ///         48    4 level of the entry point; 0xFFFFFFFF when there is none
    ///         52    4 slot of the entry point
    ///         56   64 nodes on each of the upper levels, `UInt64[8]`
    ///        120    1 kind of the quantizer
    ///        121    1 1 when high nibbles blur near neighbours, else 0
    ///        122    2 zero
    ///        124    4 its scale, `Float`
    ///        128    8 rows there were when it was trained
    ///        136    8 rows encoded since
    ///        144    8 elements clamped since
    ///        152    4 largest squared norm, `Float`; only under ip, else 0
    ///        156  ... the quantizer's offsets, `Float[dim]`; only when the kind is affine
    ///        ...    1 1 if it is calibrated; then two curves of recall, for 10 and 100 rows:
    ///                 the number of widths, and for each, ascending, the width, `UInt32`, and its
    ///                 recalls of the nearest row, the nearest two ..., `Float[10]` or `Float[100]`
    ///        ...    4 least squared norm, `Float`; only under ip, else the largest finite number
    ///        ...    4 longest rows; 0 unless under ip
    ///        ...    8 each, the longest first: the row, and its squared norm, `Float`
    ///        ...    8 rows that a build linked together
    ///        ...   20 how searches walk: where they begin, see `Starts`, and `Float` each: the
    ///                 factor of their width, how far the start of a stranger is, how far a far
    ///                 row, the recall of the widest
    ///        ...    8 how many landmarks a build chose, and how many there are in all
    ///        ...    4 each: the row
    ///        ...    8 LSN of the sample of queries to calibrate with; 0 when there is none
    ///        ...    8 LSN of the sample that it was calibrated with; 0 for rows of its own
    ///        ...    4 queries of the sample, at most 256
    ///        ...  ... each: its elements, of the type that the schema says, without padding
    enum StateFormat {
        static let magic: UInt32 = 0x3158_494F
        static let version: UInt32 = 3
    }

    func encodeState() -> [UInt8] {
        var writer = ByteWriter(reserving: 156 + schema.dim * 4)
        writer.write(StateFormat.magic)
        writer.write(StateFormat.version)
        writer.write(UInt32(schema.dim))
        writer.write(schema.metric.rawValue)
        writer.write(schema.element.rawValue)
        writer.write(schema.codes.rawValue)
        writer.write(UInt8(schema.m))
        writer.write(seed)
        writer.write(UInt64(rowCount))
        writer.write(UInt64(linkedCount))
        writer.write(UInt64(deletedCount))
        writer.write(graph.entry.map { UInt32($0.level) } ?? UInt32.max)
        writer.write(graph.entry?.slot ?? 0)
        for count in graph.upperCounts { writer.write(UInt64(count)) }
        writer.write(codeStore.quantizer.kind.rawValue)
        writer.write(UInt8(codeStore.quantizer.blursNibbles ? 1 : 0))
        writer.write(UInt16(0))
        writer.write(codeStore.quantizer.scale)
        writer.write(UInt64(codeStore.quantizer.trainedRowCount))
        writer.write(UInt64(codeStore.quantizer.encodedCount))
        writer.write(UInt64(codeStore.quantizer.clampedCount))
        writer.write(rowStore.squaredNormMax)
        if codeStore.quantizer.kind == .affine {
            for d in 0..<schema.dim { writer.write(codeStore.quantizer.offsets[d]) }
        }
        SearchCalibration.encode(calibration, into: &writer)
        writer.write(rowStore.squaredNormMin)
        graph.longRows.encode(into: &writer)
        writer.write(UInt64(builtCount))
        settings.encode(into: &writer)
        writer.write(UInt32(graph.chosenLandmarkCount))
        writer.write(UInt32(graph.landmarks.count))
        for row in graph.landmarks { writer.write(row) }
        sample.encode(
            calibratedLSN: calibratedLSN,
            vectorByteCount: schema.vectorByteCount,
            into: &writer
        )
        return writer.bytes
    }
}

/// The state section, read and checked for itself; not yet against the other sections.
struct IndexState {
    var seed: UInt64
    var rowCount: Int
    var linkedCount: Int
    var deletedCount: Int
    var entry: Graph.Entry?
    var upperCounts: [Int]
    var quantizerKind: Quantizer.Kind
    var blursNibbles: Bool
    var scale: Float
    var trainedRowCount: Int
    var encodedCount: Int
    var clampedCount: Int
    var squaredNormMax: Float
    var offsets: [Float]
    var calibration: SearchCalibration?
    var squaredNormMin: Float
    var longRows: LongRows
    var builtCount: Int
    var settings: SearchSettings
    var landmarks: [UInt32] = []
    var chosenLandmarkCount = 0
    var sample = CalibrationSample()
    var calibratedLSN: UInt64 = 0

    init(_ bytes: UnsafeRawBufferPointer, schema: CollectionSchema) throws(OmenError) {
        do {
            var reader = ByteReader(bytes)
            self = try Self(from: &reader, schema: schema)
        } catch {
            // The reader's own errors speak of a peer that sent bad bytes; these are stored ones.
            guard error.code == .protocolViolation else { throw error }
            throw OmenError(.corrupt, "section state: \(error.message)")
        }
    }

    private init(from reader: inout ByteReader, schema: CollectionSchema) throws(OmenError) {
        typealias Format = VectorIndex.StateFormat
        guard try reader.read(UInt32.self) == Format.magic else {
            throw OmenError(.corrupt, "section state, offset 0: bad magic")
        }
        let version = try reader.read(UInt32.self)
        guard version == Format.version else {
            throw OmenError(
                .unsupportedVersion,
                "index state has version \(version), expected \(Format.version)"
            )
        }
        let dim = try reader.read(UInt32.self)
        let kinds = [
            try reader.read(UInt8.self), try reader.read(UInt8.self), try reader.read(UInt8.self),
            try reader.read(UInt8.self),
        ]
        let expected = [
            schema.metric.rawValue, schema.element.rawValue, schema.codes.rawValue,
            UInt8(schema.m),
        ]
        guard dim == schema.dim, kinds == expected else {
            throw OmenError(
                .corrupt,
                "section state, offset 8: dim \(dim), metric, element, codes, m \(kinds)"
                    + ", the schema says \(schema.dim), \(expected)"
            )
        }
        seed = try reader.read(UInt64.self)
        rowCount = try Self.readCount(&reader)
        linkedCount = try Self.readCount(&reader)
        deletedCount = try Self.readCount(&reader)
        let level = try reader.read(UInt32.self)
        let slot = try reader.read(UInt32.self)
        entry = level == .max ? nil : Graph.Entry(level: Int(level), slot: slot)
        upperCounts = []
        for _ in VectorIndex.Section.uppers { upperCounts.append(try Self.readCount(&reader)) }
        let word = try reader.read(UInt32.self)
        guard word >> 9 == 0, let kind = Quantizer.Kind(rawValue: UInt8(word & 0xFF)) else {
            throw OmenError(.corrupt, "section state, offset 120: quantizer kind \(word)")
        }
        quantizerKind = kind
        blursNibbles = word >> 8 & 1 == 1
        scale = try reader.readFloat()
        trainedRowCount = try Self.readCount(&reader)
        encodedCount = try Self.readCount(&reader)
        clampedCount = try Self.readCount(&reader)
        squaredNormMax = try reader.readFloat()
        offsets = []
        if kind == .affine {
            for _ in 0..<schema.dim { offsets.append(try reader.readFloat()) }
        }
        // The inverse of a smaller scale would be infinite.
        guard scale >= .leastNormalMagnitude, scale.isFinite, squaredNormMax >= 0,
            squaredNormMax.isFinite,
            offsets.allSatisfy(\.isFinite)
        else {
            throw OmenError(.corrupt, "section state, offset 124: quantizer or norm is not finite")
        }
        calibration = try SearchCalibration.decode(from: &reader)
        longRows = LongRows()
        (squaredNormMin, builtCount, settings) = (0, 0, SearchSettings())
        try readRest(&reader, schema: schema)
    }

    /// What stands behind the calibration.
    private mutating func readRest(
        _ reader: inout ByteReader,
        schema: CollectionSchema
    ) throws(OmenError) {
        squaredNormMin = try reader.readFloat()
        guard squaredNormMin >= 0, squaredNormMin.isFinite else {
            throw OmenError(.corrupt, "section state: least squared norm \(squaredNormMin)")
        }
        longRows = try LongRows(from: &reader, rowCount: linkedCount)
        let offset = reader.offset
        builtCount = try Self.readCount(&reader)
        guard builtCount <= linkedCount else {
            throw OmenError(
                .corrupt,
                "section state, offset \(offset): \(builtCount) rows built of \(linkedCount) linked"
            )
        }
        settings = try SearchSettings(from: &reader)
        try readLandmarks(&reader)
        (sample, calibratedLSN) = try CalibrationSample.decode(from: &reader, schema: schema)
        try reader.expectEnd()
    }

    private mutating func readLandmarks(_ reader: inout ByteReader) throws(OmenError) {
        let offset = reader.offset
        let chosen = try reader.read(UInt32.self)
        let count = try reader.read(UInt32.self)
        guard chosen <= Landmarks.countMax, count >= chosen,
            count <= Int(chosen) + Landmarks.farCountMax,
            count > 0 || settings.starts != .landmarks
        else {
            throw OmenError(
                .corrupt,
                "section state, offset \(offset): \(chosen) landmarks of \(count)"
            )
        }
        for _ in 0..<count {
            landmarks.append(try reader.readRow(of: linkedCount))
        }
        chosenLandmarkCount = Int(chosen)
    }

    /// A count below 2^48, so that sums and products with strides cannot overflow.
    private static func readCount(_ reader: inout ByteReader) throws(OmenError) -> Int {
        let offset = reader.offset
        let value = try reader.read(UInt64.self)
        guard value < 1 << 48 else {
            throw OmenError(.corrupt, "section state, offset \(offset): count \(value)")
        }
        return Int(value)
    }
}

extension ByteReader {
    /// Reads the number of a row.
    ///
    /// - Throws: `.corrupt` unless it is below `rowCount`.
    mutating func readRow(of rowCount: Int) throws(OmenError) -> UInt32 {
        let offset = offset
        let row = try read(UInt32.self)
        guard row < rowCount else {
            throw OmenError(.corrupt, "section state, offset \(offset): row \(row) of \(rowCount)")
        }
        return row
    }
}
