internal import OmenCore

/// What a catalog says about itself: its rows, its paths, and where their bytes are.
struct CatalogDirectory: Equatable {
    struct Path: Equatable {
        /// As `FilterPath` writes it.
        var name: [UInt8]
        var shape: PathShape
    }

    private static let magic: UInt32 = 0x3143_4D4F
    private static let version: UInt32 = 1

    var rowCount = 0
    /// In the order of the first rows that have them, then of names.
    ///
    /// The bytes of each follow those of the one before.
    var paths: [Path] = []
    var unindexed = UnindexedPaths()
    /// The end of the data: the rows that may have a path that is not indexed, in the form of the
    /// rows in which a path exists.
    var unindexedShape = PathShape()

    init() {}

    /// Bytes of all paths, and of the rows that may have others.
    var dataByteCount: Int {
        paths.reduce(unindexedShape.byteCount) { $0 + $1.shape.byteCount }
    }

    /// Makes the bytes that stand for the directory in a file.
    ///
    ///     offset size field
    ///          0    4 magic     `OMC1`
    ///          4    4 version   1
    ///          8    8 rows      at most 2^28
    ///         16    8 bytes of the other section
    ///         24    4 paths    at most 128; then each: `u32` byte count and name, `PathShape`
    ///               `PathShape` of the rows that may have paths that are not indexed
    ///               `UnindexedPaths`
    func bytes() -> [UInt8] {
        var bytes = ByteWriter()
        bytes.write(Self.magic)
        bytes.write(Self.version)
        bytes.write(UInt64(rowCount))
        bytes.write(UInt64(dataByteCount))
        bytes.write(UInt32(paths.count))
        for path in paths {
            bytes.write(counted: path.name)
            path.shape.write(to: &bytes)
        }
        unindexedShape.write(to: &bytes)
        unindexed.write(to: &bytes)
        return bytes.bytes
    }

    /// Reads a directory that cannot be trusted.
    ///
    /// - Parameters:
    ///   - bytes: The directory.
    ///   - dataByteCount: Bytes that are there for all paths.
    /// - Throws: `.corrupt` when it contradicts itself; `.unsupportedVersion` for another format.
    init(_ bytes: UnsafeRawBufferPointer, dataByteCount: Int) throws(OmenError) {
        do throws(OmenError) {
            try read(bytes, dataByteCount)
        } catch  where error.code == .protocolViolation {
            throw OmenError(.corrupt, "the directory of the metadata catalog: \(error.message)")
        }
    }

    private mutating func read(
        _ bytes: UnsafeRawBufferPointer,
        _ dataByteCount: Int
    ) throws(OmenError) {
        var reader = ByteReader(bytes)
        let magic = try reader.read(UInt32.self)
        guard magic == Self.magic else {
            throw OmenError(.corrupt, "the metadata catalog begins with \(magic)")
        }
        let version = try reader.read(UInt32.self)
        guard version == Self.version else {
            throw OmenError(
                .unsupportedVersion,
                "the metadata catalog has version \(version), this build reads \(Self.version)"
            )
        }
        let rowCount = try reader.read(UInt64.self)
        let byteCount = try reader.read(UInt64.self)
        let pathCount = Int(try reader.read(UInt32.self))
        guard rowCount <= UInt64(Limits.shardRowCountMax), byteCount == UInt64(dataByteCount),
            pathCount <= MetadataLimits.pathCountMax
        else {
            throw OmenError(
                .corrupt,
                "the metadata catalog has \(rowCount) rows, \(pathCount) paths, \(byteCount) bytes"
            )
        }
        self.rowCount = Int(rowCount)
        var left = dataByteCount
        for _ in 0..<pathCount {
            let name = try reader.readCounted(limit: MetadataLimits.pathByteCountMax)
            let shape = try PathShape(from: &reader, byteCountMax: left)
            left -= shape.byteCount
            paths.append(Path(name: Array(name), shape: shape))
        }
        unindexedShape = try PathShape(from: &reader, byteCountMax: left)
        left -= unindexedShape.byteCount
        unindexed = try UnindexedPaths(from: &reader)
        try reader.expectEnd()
        guard left == 0 else {
            throw OmenError(.corrupt, "the metadata catalog has \(left) bytes of no path")
        }
    }
}
