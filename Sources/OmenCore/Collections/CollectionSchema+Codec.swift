extension CollectionSchema: ByteEncodable {
    /// Bytes of every encoded schema.
    package static let byteCount = 12

    package func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(dim))
        writer.write(metric.rawValue)
        writer.write(element.rawValue)
        writer.write(codes.rawValue)
        writer.write(UInt8(m))
        writer.write(UInt32(efConstruction))
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        let dim = Int(try reader.read(UInt32.self))
        let metric = try Self.readEnum(&reader, "metric", Metric.init(rawValue:))
        let element = try Self.readEnum(&reader, "element type", ElementType.init(rawValue:))
        let codes = try Self.readEnum(&reader, "codes", CodeKind.init(rawValue:))
        let m = Int(try reader.read(UInt8.self))
        let efConstruction = Int(try reader.read(UInt32.self))
        self.init(
            dim: dim,
            metric: metric,
            element: element,
            codes: codes,
            m: m,
            efConstruction: efConstruction
        )
        try validate()
    }

    private static func readEnum<Value>(
        _ reader: inout ByteReader,
        _ what: String,
        _ make: (UInt8) -> Value?
    ) throws(OmenError) -> Value {
        let raw = try reader.read(UInt8.self)
        guard let value = make(raw) else {
            throw OmenError(.badRequest, "\(what) \(raw) is unknown")
        }
        return value
    }
}

extension ElementType {
    /// Reads the type of the vectors that follow.
    ///
    /// - Throws: `.badRequest` for a number that stands for none.
    package init(from reader: inout ByteReader) throws(OmenError) {
        let number = try reader.read(UInt8.self)
        guard let element = ElementType(rawValue: number) else {
            throw OmenError(.badRequest, "element type \(number) is unknown")
        }
        self = element
    }
}

extension ByteReader {
    /// A collection's name; a long one is the requester's mistake, not a broken stream.
    ///
    /// - Throws: `.badRequest` for a name that is too long or not UTF-8.
    package mutating func readCollectionName() throws(OmenError) -> String {
        let utf8 = try readCounted(limit: remaining)
        // Refused by name before it is copied.
        guard utf8.count <= Limits.collectionNameCharacterCountMax else {
            throw OmenError(
                .badRequest,
                "collection name has \(utf8.count) bytes, expected at most"
                    + " \(Limits.collectionNameCharacterCountMax)"
            )
        }
        guard let name = String(validating: utf8, as: UTF8.self) else {
            throw OmenError(.badRequest, "collection name is not UTF-8")
        }
        return name
    }
}
