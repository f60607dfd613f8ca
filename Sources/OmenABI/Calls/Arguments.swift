internal import COmenDB
internal import OmenCore

/// Reading what C passes in: everything is checked before it is followed.
enum Arguments {
    static func text(_ pointer: UnsafePointer<CChar>?, _ what: String) throws(OmenError) -> String {
        guard let pointer else { throw OmenError(.badRequest, "\(what) is null") }
        guard let text = String(validatingCString: pointer) else {
            throw OmenError(.badRequest, "\(what) is not UTF-8")
        }
        return text
    }

    static func present<Value>(
        _ pointer: UnsafePointer<Value>?,
        _ what: String
    ) throws(OmenError) -> UnsafePointer<Value> {
        guard let pointer else { throw OmenError(.badRequest, "\(what) is null") }
        return pointer
    }

    static func element(_ raw: Int32) throws(OmenError) -> ElementType {
        guard let element = UInt8(exactly: raw).flatMap(ElementType.init(rawValue:)) else {
            throw OmenError(.badRequest, "element type \(raw) is unknown")
        }
        return element
    }

    static func schema(_ given: omendb_schema) throws(OmenError) -> CollectionSchema {
        guard let number = UInt8(exactly: given.metric), let metric = Metric(rawValue: number)
        else { throw OmenError(.badRequest, "metric \(given.metric) is unknown") }
        var codes: CodeKind?
        if given.codes != Int32(OMENDB_CODES_STANDARD) {
            guard let number = UInt8(exactly: given.codes), let kind = CodeKind(rawValue: number)
            else { throw OmenError(.badRequest, "codes \(given.codes) are unknown") }
            codes = kind
        }
        let standard = CollectionSchema(dim: 1)
        let schema = CollectionSchema(
            dim: Int(given.dim),
            metric: metric,
            element: try element(given.element),
            codes: codes,
            m: given.m == 0 ? standard.m : Int(given.m),
            efConstruction: given.ef_construction == 0
                ? standard.efConstruction : Int(given.ef_construction)
        )
        try schema.validate()
        return schema
    }

    /// The ids in `range`.
    static func ids(
        _ given: omendb_ids,
        _ range: Range<Int>
    ) throws(OmenError) -> [RecordID] {
        var ids: [RecordID] = []
        ids.reserveCapacity(range.count)
        for index in range {
            let isText = given.kinds.map { $0[index] != 0 } ?? (given.text_offsets != nil)
            guard isText else {
                guard let numbers = given.numbers else {
                    throw OmenError(.badRequest, "ids have no numbers")
                }
                ids.append(.number(numbers[index]))
                continue
            }
            let bytes = try slice(given.text_offsets, given.texts, index, "text id")
            guard (1...Limits.textIDByteCountMax).contains(bytes.count) else {
                throw OmenError(
                    .badRequest,
                    "text id \(index) has \(bytes.count) bytes, expected 1...\(Limits.textIDByteCountMax)"
                )
            }
            guard let text = copiedText(bytes) else {
                throw OmenError(.badRequest, "text id \(index) is not UTF-8")
            }
            ids.append(.text(text))
        }
        return ids
    }

    /// The text that a copy of the bytes is, if they are UTF-8.
    ///
    /// `String` reads bytes twice, and the caller's may change in between.
    private static func copiedText(_ bytes: UnsafeRawBufferPointer) -> String? {
        withUnsafeTemporaryAllocation(byteCount: bytes.count, alignment: 1) { copy in
            copy.copyMemory(from: bytes)
            return String(validating: copy, as: UTF8.self)
        }
    }

    /// Text `index` of a column.
    static func slice(
        _ offsets: UnsafePointer<UInt64>?,
        _ bytes: UnsafePointer<CChar>?,
        _ index: Int,
        _ what: String
    ) throws(OmenError) -> UnsafeRawBufferPointer {
        guard let offsets else { throw OmenError(.badRequest, "\(what)s have no offsets") }
        guard let start = Int(exactly: offsets[index]), let end = Int(exactly: offsets[index + 1]),
            start <= end
        else { throw OmenError(.badRequest, "\(what) \(index) ends before it begins") }
        guard end > start else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        guard let bytes else { throw OmenError(.badRequest, "\(what)s have no bytes") }
        return UnsafeRawBufferPointer(start: bytes + start, count: end - start)
    }

    static func count(_ given: UInt64, _ what: String) throws(OmenError) -> Int {
        guard let count = Int(exactly: given), count <= Limits.abiCountMax else {
            throw OmenError(.badRequest, "\(given) \(what), expected at most \(Limits.abiCountMax)")
        }
        return count
    }
}

extension Limits {
    /// Most things in one call from C: keeps sums of bytes far from overflow.
    static let abiCountMax = 1 << 40
    /// Records asked for at once: with the longest vectors and metadata they fit a frame.
    static let recordsPerReply = 500
}

extension Arguments {
    static func durability(
        _ raw: Int32,
        intervalMilliseconds: UInt32
    ) throws(OmenError) -> Durability {
        switch raw {
        case Int32(OMENDB_DURABILITY_ALWAYS): return .always
        case Int32(OMENDB_DURABILITY_NONE): return .none
        case Int32(OMENDB_DURABILITY_INTERVAL):
            guard (1...60_000).contains(intervalMilliseconds) else {
                throw OmenError(
                    .badRequest,
                    "the interval is \(intervalMilliseconds) ms, expected 1...60000"
                )
            }
            return .interval(milliseconds: Int(intervalMilliseconds))
        default: throw OmenError(.badRequest, "durability \(raw) is unknown")
        }
    }

    static func query(
        _ given: omendb_query,
        collection: String
    ) throws(OmenError) -> SearchRequest {
        let count = try count(given.count, "queries")
        guard (1...Limits.queryCountMax).contains(count) else {
            throw OmenError(.badRequest, "\(count) queries, expected 1...\(Limits.queryCountMax)")
        }
        let vectors = try GivenVectors(
            given.vectors,
            element: given.element,
            dim: given.dim,
            stride: nil,
            count: count
        )
        var query = try options(given, collection: collection, element: vectors.element)
        query.count = count
        query.vectors = vectors.copy(0..<count)
        return query
    }

    static func sample(
        _ vectors: UnsafeRawPointer?,
        count given: UInt64,
        dim: UInt32,
        element: Int32,
        collection: String
    ) throws(OmenError) -> QuerySample {
        try CollectionName.validate(collection)
        let count = try count(given, "queries")
        try QuerySample.check(count: count)
        guard count > 0 else {
            return QuerySample(collection: collection, element: .f32, dim: 0, vectors: [])
        }
        let rows = try GivenVectors(
            vectors,
            element: element,
            dim: dim,
            stride: nil,
            count: count
        )
        return QuerySample(
            collection: collection,
            element: rows.element,
            dim: rows.dim,
            vectors: rows.copy(0..<count)
        )
    }

    /// A query without its vectors.
    static func options(
        _ given: omendb_query,
        collection: String,
        element: ElementType
    ) throws(OmenError) -> SearchRequest {
        var query = SearchRequest(
            collection: collection,
            element: element,
            dim: Int(given.dim),
            vectors: [],
            count: 1,
            limit: Int(given.limit)
        )
        query.effort = try SearchEffort(
            ef: Int(given.ef),
            recall: given.recall,
            exact: given.exact != 0
        )
        query.maxDistance = given.max_distance
        query.withVector = given.with_vector != 0
        query.withMetadata = given.with_metadata != 0
        query.allowPartial = given.allow_partial != 0
        query.explain = given.explain != 0
        return query
    }
}
