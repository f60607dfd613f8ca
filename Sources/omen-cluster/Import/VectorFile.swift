internal import OmenCore
internal import OmenFormats
internal import OmenStorage

/// What an import is made of: vectors with ids and metadata, from one to three files.
struct VectorFile {
    /// Vectors in all.
    let count: Int
    /// Nil until the first vector of a `.jsonl` file was read.
    private(set) var dim: Int?
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
    private var next = 0

    private enum Source {
        case matrix(VectorMatrix)
        case lines
    }

    /// Opens the files and checks that they go together; reads no vector yet.
    ///
    /// - Parameters:
    ///   - path: The vectors: `.npy`, `.fvecs`, `.bvecs` or `.jsonl`.
    ///   - ids: A file with one id per vector.
    ///   - idStart: Id of the first vector, where no file names one; the others count on.
    ///   - metadata: A `.jsonl` file with one object per vector.
    /// - Throws: `.badRequest` naming the file and what is wrong, `.ioFailure` when it is not
    ///   there.
    init(path: String, ids: String?, idStart: UInt64?, metadata: String?) throws(OmenError) {
        let file = try MappedFile(path: path)
        file.adviseSequential()
        self.path = path
        (source, count) = try reading(path) { () throws(OmenError) in
            try Self.source(file, FileKind(path: path))
        }
        guard count > 0 else { throw OmenError(.badRequest, "\(path) holds no vector") }
        switch source {
        case .matrix(let matrix):
            dim = matrix.dim
            element = matrix.element
        case .lines:
            element = .f32
            lines = RecordLines(file.bytes)
        }
        self.ids = ids == nil ? nil : try ids.map(IDFile.read)
        self.idStart = idStart ?? 0
        metadataPath = metadata
        files =
            try [file]
            + (metadata == nil
                ? []
                : metadata.map { path throws(OmenError) in [try MappedFile(path: path)] } ?? [])
        if let metadata, files.count > 1 {
            let records = RecordLines(files[1].bytes)
            let recordCount = records.recordCount()
            guard recordCount == count else {
                throw OmenError(
                    .badRequest,
                    "\(metadata) has \(recordCount) records, \(path) has \(count) vectors"
                )
            }
            self.metadata = records
        }
        if let ids, let list = self.ids, list.count != count {
            throw OmenError(
                .badRequest,
                "\(ids) has \(list.count) ids, \(path) has \(count) vectors"
            )
        }
        let (_, overflow) = self.idStart.addingReportingOverflow(UInt64(count - 1))
        guard !overflow else {
            throw OmenError(
                .badRequest,
                "--id-start \(self.idStart) leaves no room for \(count) ids"
            )
        }
    }

    /// Whether ids come from a file; otherwise they count on and none comes twice.
    var namesIDs: Bool { ids != nil || lines != nil || metadata != nil }

    private static func source(
        _ file: MappedFile,
        _ kind: FileKind?
    ) throws(OmenError) -> (Source, Int) {
        let matrix: VectorMatrix
        switch kind {
        case .npy: matrix = try VectorMatrix(npy: file.bytes)
        case .fvecs: matrix = try VectorMatrix(fvecs: file.bytes)
        case .bvecs: matrix = try VectorMatrix(bvecs: file.bytes)
        case .jsonl: return (.lines, RecordLines(file.bytes).recordCount())
        case .ivecs, nil:
            throw OmenError(.badRequest, "expected a .npy, .fvecs, .bvecs or .jsonl file")
        }
        return (.matrix(matrix), matrix.rowCount)
    }

    /// The next vectors, about as many as fit in `byteCount` bytes; nil at the end.
    mutating func nextBatch(
        collection: String,
        byteCount: Int,
        countMax: Int
    ) throws(OmenError) -> UpsertBatch? {
        guard next < count else { return nil }
        let rowByteCount = (dim ?? 256) * element.byteCount
        let wanted = min(max(1, byteCount / rowByteCount), countMax, count - next)
        let range = next..<next + wanted
        next = range.upperBound
        var rows = try vectors(range)
        if metadata != nil { try addMetadata(to: &rows) }
        return UpsertBatch(
            collection: collection,
            element: element,
            dim: dim ?? 0,
            ids: range.map { row in
                ids?[row] ?? rows.ids[row - range.lowerBound] ?? .number(idStart + UInt64(row))
            },
            vectors: rows.vectors,
            metadata: rows.metadata.contains { !$0.isEmpty } ? rows.metadata : []
        )
    }

    private struct Rows {
        var vectors: [UInt8] = []
        var ids: [RecordID?] = []
        var metadata: [[UInt8]] = []
    }

    private mutating func vectors(_ range: Range<Int>) throws(OmenError) -> Rows {
        var rows = Rows()
        if case .matrix(let matrix) = source {
            do throws(OmenError) {
                rows.vectors = try matrix.rows(range)
            } catch { throw OmenError(error.code, "\(path): \(error.message)") }
            rows.ids = Array(repeating: nil, count: range.count)
            rows.metadata = Array(repeating: [], count: range.count)
            return rows
        }
        for _ in range {
            do throws(OmenError) {
                guard let record = try lines?.next(vectors: &rows.vectors) else { break }
                guard record.hasVector else {
                    throw OmenError(.badRequest, "line \(lines?.lineNumber ?? 0): no \"vector\"")
                }
                rows.ids.append(record.id)
                rows.metadata.append(record.metadata)
            } catch { throw OmenError(error.code, "\(path): \(error.message)") }
        }
        dim = lines?.dim
        return rows
    }

    private mutating func addMetadata(to rows: inout Rows) throws(OmenError) {
        var ignored: [UInt8] = []
        let name = metadataPath ?? ""
        for index in rows.metadata.indices {
            do throws(OmenError) {
                guard let record = try metadata?.next(vectors: &ignored) else { break }
                guard !record.hasVector else {
                    throw OmenError(
                        .badRequest,
                        "line \(metadata?.lineNumber ?? 0): a \"vector\" among the metadata"
                    )
                }
                rows.ids[index] = record.id ?? rows.ids[index]
                rows.metadata[index] = record.metadata
            } catch { throw OmenError(error.code, "\(name): \(error.message)") }
        }
    }
}
