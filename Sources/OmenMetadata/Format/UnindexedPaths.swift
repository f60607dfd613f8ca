internal import OmenCore

/// The paths that are in metadata and not in a catalog: beyond the number, depth or length of paths
/// that are indexed.
struct UnindexedPaths: Equatable {
    /// Paths as `FilterPath` writes them; whatever is below one of them is not indexed either.
    private(set) var names: [[UInt8]] = []
    /// Whether there are more than these.
    private(set) var isPartial = false

    init() {}

    /// Adds a path, unless it or one above it is there.
    ///
    /// - Parameter name: The path, as `FilterPath` writes it.
    mutating func insert(_ name: [UInt8]) {
        guard !contains(name) else { return }
        guard names.count < MetadataLimits.unindexedPathCountMax,
            name.count <= MetadataLimits.unindexedPathByteCountMax
        else {
            isPartial = true
            return
        }
        names.append(name)
    }

    /// Notes that there is a path that is too long to be named.
    mutating func setPartial() { isPartial = true }

    /// Adds the paths of another catalog.
    ///
    /// - Parameter other: The paths of the other catalog.
    mutating func formUnion(_ other: UnindexedPaths) {
        for name in other.names { insert(name) }
        isPartial = isPartial || other.isPartial
    }

    /// Tells whether the list names a path, or one that the path lies below.
    ///
    /// - Parameter name: The path, as `FilterPath` writes it.
    /// - Returns: Whether it is; false says nothing when the names are partial.
    func contains(_ name: [UInt8]) -> Bool {
        names.contains { above in
            name.starts(with: above)
                && (name.count == above.count || name[above.count] == UInt8(ascii: "."))
        }
    }
}

extension UnindexedPaths {
    /// Bytes in a file: `u32` names, `u32` 1 if there are more than these, else 0, then each name
    /// as `u32` byte count and UTF-8.
    func write(to bytes: inout ByteWriter) {
        bytes.write(UInt32(names.count))
        bytes.write(UInt32(isPartial ? 1 : 0))
        for name in names { bytes.write(counted: name) }
    }

    /// Reads names that cannot be trusted.
    ///
    /// - Parameter reader: The bytes.
    /// - Throws: `.corrupt` or `.protocolViolation` when there are no such names.
    init(from reader: inout ByteReader) throws(OmenError) {
        let count = Int(try reader.read(UInt32.self))
        let partial = try reader.read(UInt32.self)
        guard count <= MetadataLimits.unindexedPathCountMax, partial < 2 else {
            throw OmenError(.corrupt, "the metadata catalog has \(count) paths without an index")
        }
        isPartial = partial == 1
        for _ in 0..<count {
            names.append(
                Array(try reader.readCounted(limit: MetadataLimits.unindexedPathByteCountMax))
            )
        }
    }
}
