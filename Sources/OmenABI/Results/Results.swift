internal import COmenDB
internal import Glibc
internal import OmenCore
internal import OmenShard

/// Lays out a result for C: the structure and all its columns in one piece of memory, so that
/// freeing it is one call.
struct ResultWriter {
    private var byteCount = Self.rounded(MemoryLayout<omendb_result>.stride)

    /// Columns begin at lines of the cache.
    private static func rounded(_ count: Int) -> Int { (count + 63) & ~63 }

    /// Reserves room for a column.
    ///
    /// - Returns: Its offset.
    private mutating func column<Value>(_ type: Value.Type, _ count: Int) -> Int {
        defer { byteCount += Self.rounded(count * MemoryLayout<Value>.stride) }
        return byteCount
    }

    private func allocate() throws(OmenError) -> UnsafeMutableRawPointer {
        guard let base = aligned_alloc(64, byteCount) else {
            throw OmenError(.resourceExhausted, "no memory for a result of \(byteCount) bytes")
        }
        return base
    }

    // MARK: - Hits

    static func hits(_ found: FoundHits, dim: Int) throws(OmenError) -> OpaqueResult {
        var writer = ResultWriter()
        let counts = writer.column(UInt32.self, found.counts.count)
        let distances = writer.column(Float.self, found.list.count)
        let text = found.details
        let details = writer.column(CChar.self, text.count)
        var result: OpaqueResult
        let base: UnsafeMutableRawPointer
        switch found.list {
        case .numbered(let values, let ids):
            let numbers = writer.column(UInt64.self, ids.count)
            base = try writer.allocate()
            result = OpaqueResult(base, count: ids.count)
            values.withUnsafeBytes { (base + distances).copy($0) }
            ids.withUnsafeBytes { (base + numbers).copy($0) }
            result.pointee.ids.numbers = (base + numbers).column()
        case .full(let hits):
            let columns = RecordColumns(
                &writer,
                hits.map { Record(id: $0.id, metadata: $0.metadata, vector: $0.vector) }
            )
            base = try writer.allocate()
            result = OpaqueResult(base, count: hits.count)
            let target = (base + distances).assumingMemoryBound(to: Float.self)
            for (index, hit) in hits.enumerated() { target[index] = hit.distance }
            columns.fill(result, base)
        }
        found.counts.withUnsafeBytes { (base + counts).copy($0) }
        if !text.isEmpty {
            text.withUnsafeBytes { (base + details).copy($0) }
            result.pointee.details = (base + details).column()
        }
        result.pointee.query_count = UInt64(found.counts.count)
        result.pointee.counts = (base + counts).column()
        result.pointee.distances = (base + distances).column()
        result.describe(found.element, dim, found.coverage)
        return result
    }

    // MARK: - Records

    static func records(_ found: FoundRecords) throws(OmenError) -> OpaqueResult {
        let vectorByteCount = found.records.first?.vector?.count ?? 0
        let dim = found.places?.vectors.dim ?? vectorByteCount / found.element.byteCount
        var writer = ResultWriter()
        let columns = RecordColumns(&writer, found.records, rows: found.places?.rows)
        let base = try writer.allocate()
        let result = OpaqueResult(base, count: found.records.count)
        columns.fill(result, base)
        result.describe(found.element, dim, found.coverage)
        return result
    }

    static func ids(_ listed: ListedRecords) throws(OmenError) -> OpaqueResult {
        let (ids, schema) = (listed.ids, listed.schema)
        var writer = ResultWriter()
        let records = ids.map { Record(id: $0, metadata: nil, vector: nil) }
        let columns = RecordColumns(&writer, records, rows: listed.places?.rows)
        let base = try writer.allocate()
        let result = OpaqueResult(base, count: ids.count)
        columns.fill(result, base)
        result.describe(schema.element, schema.dim, Coverage(shardsTotal: 1))
        return result
    }

    /// Where the columns of ids, metadata, vectors and rows go.
    private struct RecordColumns {
        let records: [Record]
        /// Nil when vectors are in other processes or were copied.
        let rows: [UInt32]?
        private let numbers: Int
        private let kinds: Int
        /// Nil when no id is a text.
        private var texts: (offsets: Int, bytes: Int)?
        /// Nil when there is no metadata.
        private var metadata: (offsets: Int, bytes: Int)?
        /// Nil when there are no vectors.
        private var vectors: Int?
        private let rowsOffset: Int

        init(
            _ writer: inout ResultWriter,
            _ records: [Record],
            rows: [UInt32]? = nil
        ) {
            self.records = records
            self.rows = rows
            let count = records.count
            rowsOffset = writer.column(UInt32.self, rows?.count ?? 0)
            numbers = writer.column(UInt64.self, count)
            kinds = writer.column(UInt8.self, count)
            var textByteCount = 0
            var metadataByteCount = 0
            var vectorByteCount = 0
            var hasTexts = false
            for record in records {
                if case .text(let text) = record.id {
                    hasTexts = true
                    textByteCount += text.utf8.count
                }
                metadataByteCount += record.metadata?.count ?? 0
                vectorByteCount += record.vector?.count ?? 0
            }
            if hasTexts {
                texts = (
                    writer.column(UInt64.self, count + 1), writer.column(UInt8.self, textByteCount)
                )
            }
            if metadataByteCount > 0 {
                metadata = (
                    writer.column(UInt64.self, count + 1),
                    writer.column(UInt8.self, metadataByteCount)
                )
            }
            if vectorByteCount > 0 { vectors = writer.column(UInt8.self, vectorByteCount) }
        }

        func fill(_ result: OpaqueResult, _ base: UnsafeMutableRawPointer) {
            fillIDs(result, base)
            if let rows {
                rows.withUnsafeBytes { (base + rowsOffset).copy($0) }
                result.pointee.rows = (base + rowsOffset).column()
            }
            if let metadata {
                let offsets = (base + metadata.offsets).assumingMemoryBound(to: UInt64.self)
                var end = 0
                offsets[0] = 0
                for (index, record) in records.enumerated() {
                    if let object = record.metadata {
                        object.withUnsafeBytes { (base + metadata.bytes + end).copy($0) }
                        end += object.count
                    }
                    offsets[index + 1] = UInt64(end)
                }
                result.pointee.metadata_offsets = (base + metadata.offsets).column()
                result.pointee.metadata = (base + metadata.bytes).column()
            }
            guard let vectors else { return }
            var end = vectors
            for record in records {
                guard let vector = record.vector else { continue }
                vector.withUnsafeBytes { (base + end).copy($0) }
                end += vector.count
            }
            result.pointee.vectors = UnsafeRawPointer(base + vectors)
        }

        private func fillIDs(_ result: OpaqueResult, _ base: UnsafeMutableRawPointer) {
            let numbers = (base + numbers).assumingMemoryBound(to: UInt64.self)
            let kinds = (base + kinds).assumingMemoryBound(to: UInt8.self)
            var end = 0
            for (index, record) in records.enumerated() {
                switch record.id {
                case .number(let number):
                    numbers[index] = number
                    kinds[index] = 0
                case .text(var text):
                    numbers[index] = 0
                    kinds[index] = 1
                    guard let texts else { break }
                    text.withUTF8 { (base + texts.bytes + end).copy(UnsafeRawBufferPointer($0)) }
                    end += text.utf8.count
                }
                if let texts {
                    let offsets = (base + texts.offsets).assumingMemoryBound(to: UInt64.self)
                    if index == 0 { offsets[0] = 0 }
                    offsets[index + 1] = UInt64(end)
                }
            }
            result.pointee.ids.numbers = UnsafePointer(numbers)
            guard let texts else { return }
            result.pointee.ids.kinds = UnsafePointer(kinds)
            result.pointee.ids.text_offsets = (base + texts.offsets).column()
            result.pointee.ids.texts = (base + texts.bytes).column()
        }
    }
}

typealias OpaqueResult = UnsafeMutablePointer<omendb_result>

extension OpaqueResult {
    fileprivate init(_ base: UnsafeMutableRawPointer, count: Int) {
        self = base.bindMemory(to: omendb_result.self, capacity: 1)
        initialize(to: omendb_result())
        pointee.count = UInt64(count)
        pointee.ids.count = UInt64(count)
    }

    fileprivate func describe(_ element: ElementType, _ dim: Int, _ coverage: Coverage) {
        pointee.element = Int32(element.rawValue)
        pointee.dim = UInt32(dim)
        pointee.shards_total = coverage.shardsTotal
        pointee.shards_failed = UInt32(coverage.failures.count)
    }
}

extension FoundHits {
    /// What `omendb_result.details` shows, ended by a zero; empty where there is nothing to tell.
    fileprivate var details: [CChar] {
        guard coverage.isPartial || !explanations.isEmpty else { return [] }
        var members = coverage.members
        if !explanations.isEmpty { members.append(("explain", .array(explanations.map(\.json)))) }
        return Array(JSON.object(members).text.utf8CString)
    }
}

extension UnsafeMutableRawPointer {
    fileprivate func copy(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        copyMemory(from: source, byteCount: bytes.count)
    }

    fileprivate func column<Value>() -> UnsafePointer<Value> {
        UnsafePointer(assumingMemoryBound(to: Value.self))
    }
}
