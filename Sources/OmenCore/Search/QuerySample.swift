/// A sample of the queries that a collection will be asked, with which its searches are calibrated.
///
/// An empty sample means that rows of the collection are the queries again.
package struct QuerySample: Equatable, Sendable {
    package var collection: String
    /// Type of every element in `vectors`.
    package var element: ElementType
    /// Elements of each query; not looked at when there is none.
    package var dim: Int
    /// Little-endian elements, query after query without padding; shape `[count][dim]`.
    package var vectors: [UInt8]

    package init(collection: String, element: ElementType, dim: Int, vectors: [UInt8]) {
        self.collection = collection
        self.element = element
        self.dim = dim
        self.vectors = vectors
    }

    /// Whole queries that the bytes make; 0 when there is no dimension.
    package var count: Int {
        let byteCount = dim.multipliedReportingOverflow(by: element.byteCount)
        return byteCount.overflow || byteCount.partialValue <= 0
            ? 0 : vectors.count / byteCount.partialValue
    }

    /// Checks what can be wrong without knowing the collection.
    ///
    /// - Throws: `.badRequest` for a number of queries that is out of range, or bytes that make no
    ///   whole number of them.
    package func validateShape() throws(OmenError) {
        guard !vectors.isEmpty else { return }
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
        guard vectors.count % (dim * element.byteCount) == 0 else {
            throw OmenError(
                .badRequest,
                "\(vectors.count) bytes are no whole number of queries of \(dim) elements"
            )
        }
        try Self.check(count: count)
    }

    /// - Throws: `.badRequest` unless there are 0 queries, or as many as a sample may have.
    package static func check(count: Int) throws(OmenError) {
        guard count == 0 || (Limits.sampleCountMin...Limits.sampleCountMax).contains(count) else {
            throw OmenError(
                .badRequest,
                "\(count) queries to calibrate with, expected \(Limits.sampleCountMin)...\(Limits.sampleCountMax), or none for rows of the collection"
            )
        }
    }
}

extension QuerySample: ByteEncodable {
    /// Appends the sample's bytes; `docs/PROTOCOL.md` ("Write operations") draws the layout.
    package func encode(into writer: inout ByteWriter) {
        writer.write(collection)
        writer.write(element.rawValue)
        writer.write(UInt32(clamping: vectors.isEmpty ? 0 : dim))
        writer.write(UInt32(clamping: count))
        writer.write(raw: vectors)
    }

    /// Reads a sample; checks structure and limits.
    package init(from reader: inout ByteReader) throws(OmenError) {
        collection = try reader.readCollectionName()
        element = try ElementType(from: &reader)
        dim = Int(try reader.read(UInt32.self))
        let count = Int(try reader.read(UInt32.self))
        try Self.check(count: count)
        guard dim <= Limits.dimensionMax, (dim == 0) == (count == 0) else {
            throw OmenError(
                .badRequest,
                "\(count) queries of dim \(dim), expected 1...\(Limits.dimensionMax), or 0 of 0"
            )
        }
        vectors = Array(try reader.read(count: count * dim * element.byteCount))
    }
}
