internal import OmenCore
internal import OmenFormats
internal import OmenStorage

/// What an import is made of: vectors with ids and metadata, from one to three files.
struct VectorFile {
    /// Vectors in all.
    let count: Int
    let dim: Int
    let element: ElementType

    private let path: String
    private let source: Source
    // The readers borrow the files' bytes.
    private let files: [MappedFile]
    private var lines: RecordLines?
    private let metadataPath: String?
    private var metadata: RecordLines?
    private let ids: [RecordID]?
    private let idStart: UInt64
    /// Whether ids come from a file; otherwise they count on and none comes twice.
    let namesIDs: Bool
    private var next = 0

    private enum Source {
        case matrix(VectorMatrix)
        case lines(LinesSurvey)
    }

    /// Opens the files and checks that they go together: all of their lines and ids, but not the
    /// vectors' numbers.
    ///
    /// - Parameters:
    ///   - path: The vectors: `.npy`, `.fvecs`, `.bvecs` or `.jsonl`.
    ///   - ids: A file with one id per vector.
    ///   - idStart: Id of the first vector, where no file names one; the others count on.
    ///   - metadata: A `.jsonl` file with one object per vector.
    /// - Throws: `.badRequest` naming the file and what is wrong, `.ioFailure` when it is not
    ///   there.
    init(path: String, ids: String?, idStart: UInt64?, metadata: String?) throws(OmenError) {
        var files = [try mapInput(path)]
        files[0].adviseSequential()
        self.path = path
        let file = files[0]
        source = try reading(path) { () throws(OmenError) in
            try Self.source(file, FileKind(path: path))
        }
        var namesIDs = ids != nil
        switch source {
        case .matrix(let matrix):
            (count, dim, element) = (matrix.rowCount, matrix.dim, matrix.element)
        case .lines(let survey):
            (count, dim, element) = (survey.count, survey.dim ?? 0, .f32)
            lines = try reading(path) { () throws(OmenError) in try RecordLines(file.bytes) }
            if survey.named != nil { namesIDs = true }
        }
        guard count > 0 else { throw OmenError(.badRequest, "\(path) holds no vector") }
        self.ids = ids == nil ? nil : try ids.map(IDFile.read)
        self.idStart = idStart ?? 0
        metadataPath = metadata
        if let metadata {
            let file = try mapInput(metadata)
            files.append(file)
            let count = count
            let (records, survey) = try reading(metadata) { () throws(OmenError) in
                try Self.metadata(file, for: count)
            }
            self.metadata = records
            if survey.named != nil, let lines, case .lines(let own) = source, own.named != nil {
                try Self.checkSameIDs(lines, path, records, metadata)
            }
            if survey.named != nil { namesIDs = true }
        }
        self.files = files
        self.namesIDs = namesIDs
        try checkIDs(ids)
    }

    private func checkIDs(_ ids: String?) throws(OmenError) {
        if let ids, let list = self.ids, list.count != count {
            throw OmenError(
                .badRequest,
                "\(ids) has \(list.count) ids, \(path) has \(count) vectors"
            )
        }
        let (_, overflow) = idStart.addingReportingOverflow(UInt64(count - 1))
        guard !overflow else {
            throw OmenError(
                .badRequest,
                "--id-start \(idStart) leaves no room for \(count) ids"
            )
        }
    }

    /// Refuses two files that give one vector two ids.
    private static func checkSameIDs(
        _ lines: RecordLines,
        _ path: String,
        _ records: RecordLines,
        _ metadata: String
    ) throws(OmenError) {
        let pairs = zip(try lines.ids(), try records.ids())
        guard let (one, other) = pairs.first(where: { $0.id != $1.id }) else { return }
        throw OmenError(
            .badRequest,
            "\(path) line \(one.line) has id \(one.id), \(metadata) line \(other.line) has \(other.id)"
        )
    }

    private static func source(_ file: MappedFile, _ kind: FileKind?) throws(OmenError) -> Source {
        switch kind {
        case .npy: return .matrix(try VectorMatrix(npy: file.bytes))
        case .fvecs: return .matrix(try VectorMatrix(fvecs: file.bytes))
        case .bvecs: return .matrix(try VectorMatrix(bvecs: file.bytes))
        case .jsonl:
            let survey = try RecordLines(file.bytes).survey()
            if let line = survey.unfilled {
                throw OmenError(.badRequest, "line \(line): no \"vector\"")
            }
            try survey.checkNames()
            return .lines(survey)
        case .ivecs, nil:
            throw OmenError(.badRequest, "expected a .npy, .fvecs, .bvecs or .jsonl file")
        }
    }

    private static func metadata(
        _ file: MappedFile,
        for count: Int
    ) throws(OmenError) -> (RecordLines, LinesSurvey) {
        let records = try RecordLines(file.bytes)
        let survey = try records.survey()
        if let line = survey.filled {
            throw OmenError(.badRequest, "line \(line): a \"vector\" among the metadata")
        }
        guard survey.count == count else {
            throw OmenError(
                .badRequest,
                "the file has \(survey.count) records, there are \(count) vectors"
            )
        }
        try survey.checkNames()
        return (records, survey)
    }

    /// ReadRows that are checked at a time.
    private static let checkedByteCount = 1 << 20

    /// Checks all vectors of a file of numbers, before the first of them is sent.
    ///
    /// The numbers of a file of text are read once, when they are sent: reading them is most of the
    /// work of such an import.
    /// - Throws: `.badRequest` naming the row and the element.
    func check(against schema: CollectionSchema) throws(OmenError) {
        guard case .matrix(let matrix) = source else { return }
        let step = max(1, Self.checkedByteCount / (dim * element.byteCount))
        try reading(path) { () throws(OmenError) in
            for first in stride(from: 0, to: count, by: step) {
                let rows = try matrix.rows(first..<min(first + step, count))
                try check(rows, against: schema, "vector") { first + $0 }
            }
        }
    }

    private func check(
        _ vectors: [UInt8],
        against schema: CollectionSchema,
        _ what: String,
        number: (Int) -> Int
    ) throws(OmenError) {
        let rowByteCount = dim * element.byteCount
        let failure = vectors.withUnsafeBytes { bytes -> OmenError? in
            for row in 0..<bytes.count / rowByteCount {
                let values = UnsafeRawBufferPointer(rebasing: bytes[(row * rowByteCount)...])
                let failure = VectorValidation.failure(
                    values,
                    number: number(row),
                    element: element,
                    dim: dim,
                    metric: schema.metric,
                    what: what
                )
                if let failure { return failure }
                guard element == .f32, schema.element == .u8 else { continue }
                let misfit = VectorValidation.wholeFailure(
                    values,
                    number: number(row),
                    dim: dim,
                    what: what
                )
                if let misfit { return misfit }
            }
            return nil
        }
        if let failure { throw failure }
    }

    /// The next vectors, about as many as fit in `byteCount` bytes; nil at the end.
    ///
    /// - Throws: `.badRequest` naming the file and the line of a vector that is not right for
    ///   `schema`.
    mutating func nextBatch(
        for schema: CollectionSchema,
        collection: String,
        byteCount: Int,
        countMax: Int
    ) throws(OmenError) -> UpsertBatch? {
        guard next < count else { return nil }
        let rowByteCount = dim * element.byteCount
        let wanted = min(max(1, byteCount / rowByteCount), countMax, count - next)
        let range = next..<next + wanted
        next = range.upperBound
        var rows = try vectors(range, schema)
        if metadata != nil { try addMetadata(to: &rows) }
        return UpsertBatch(
            collection: collection,
            element: element,
            dim: dim,
            ids: range.map { row in
                ids?[row] ?? rows.ids[row - range.lowerBound] ?? .number(idStart + UInt64(row))
            },
            vectors: rows.vectors,
            metadata: rows.metadata.contains { !$0.isEmpty } ? rows.metadata : []
        )
    }

    private struct ReadRows {
        var vectors: [UInt8] = []
        var ids: [RecordID?] = []
        var metadata: [[UInt8]] = []
    }

    private mutating func vectors(
        _ range: Range<Int>,
        _ schema: CollectionSchema
    ) throws(OmenError) -> ReadRows {
        var rows = ReadRows()
        if case .matrix(let matrix) = source {
            rows.vectors = try reading(path) { () throws(OmenError) in try matrix.rows(range) }
            rows.ids = Array(repeating: nil, count: range.count)
            rows.metadata = Array(repeating: [], count: range.count)
            return rows
        }
        var numbers: [Int] = []
        do throws(OmenError) {
            for _ in range {
                guard let record = try lines?.next(vectors: &rows.vectors), record.hasVector,
                    lines?.dim == dim
                else { throw OmenError(.badRequest, "the file changed while it was read") }
                numbers.append(lines?.lineNumber ?? 0)
                rows.ids.append(record.id)
                rows.metadata.append(record.metadata)
            }
            try check(rows.vectors, against: schema, "line") { numbers[$0] }
        } catch { throw OmenError(error.code, "\(path): \(error.message)") }
        return rows
    }

    private mutating func addMetadata(to rows: inout ReadRows) throws(OmenError) {
        var ignored: [UInt8] = []
        let name = metadataPath ?? ""
        for index in rows.metadata.indices {
            do throws(OmenError) {
                guard let record = try metadata?.next(vectors: &ignored), !record.hasVector else {
                    throw OmenError(.badRequest, "the file changed while it was read")
                }
                rows.ids[index] = record.id ?? rows.ids[index]
                rows.metadata[index] = record.metadata
            } catch { throw OmenError(error.code, "\(name): \(error.message)") }
        }
    }
}
