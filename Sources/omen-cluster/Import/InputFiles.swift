internal import Glibc
internal import OmenCore
internal import OmenFormats
internal import OmenStorage

/// The kind of a file, told by the end of its name.
enum FileKind: String, CaseIterable {
    case npy = ".npy"
    case fvecs = ".fvecs"
    case bvecs = ".bvecs"
    case ivecs = ".ivecs"
    case jsonl = ".jsonl"

    init?(path: String) {
        // By bytes: text that only looks like an ending is none.
        guard
            let kind = Self.allCases.first(where: { kind in
                path.utf8.suffix(kind.rawValue.utf8.count).elementsEqual(kind.rawValue.utf8)
            })
        else { return nil }
        self = kind
    }
}

/// Maps a file of the user's, which somebody may cut meanwhile: then the program ends with a
/// message where the system would end it without.
func mapInput(_ path: String) throws(OmenError) -> MappedFile {
    signal(SIGBUS) { _ in
        let text: StaticString =
            "omen-cluster: error: a file became shorter while it was read; what was acknowledged before stays\n"
        write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
        _exit(1)
    }
    return try MappedFile(path: path)
}

/// Adds the file's name to what is wrong with its contents.
func reading<Value>(
    _ path: String,
    _ body: () throws(OmenError) -> Value
) throws(OmenError) -> Value {
    do throws(OmenError) {
        return try body()
    } catch {
        throw OmenError(error.code, "\(path): \(error.message)")
    }
}

/// All query vectors of a file, in memory: queries are few.
struct QueryVectors {
    let element: ElementType
    let dim: Int
    let count: Int
    let bytes: [UInt8]

    init(element: ElementType, dim: Int, count: Int, bytes: [UInt8]) {
        self.element = element
        self.dim = dim
        self.count = count
        self.bytes = bytes
    }

    init(file path: String) throws(OmenError) {
        let file = try mapInput(path)
        self = try reading(path) { () throws(OmenError) in
            try Self(file, kind: FileKind(path: path))
        }
    }

    private init(_ file: MappedFile, kind: FileKind?) throws(OmenError) {
        switch kind {
        case .npy: try self.init(try VectorMatrix(npy: file.bytes))
        case .fvecs: try self.init(try VectorMatrix(fvecs: file.bytes))
        case .bvecs: try self.init(try VectorMatrix(bvecs: file.bytes))
        case .jsonl: try self.init(lines: file.bytes)
        case .ivecs, nil:
            throw OmenError(.badRequest, "expected a .npy, .fvecs, .bvecs or .jsonl file")
        }
        guard count > 0 else { throw OmenError(.badRequest, "the file holds no vector") }
    }

    private init(_ matrix: VectorMatrix) throws(OmenError) {
        self.init(
            element: matrix.element,
            dim: matrix.dim,
            count: matrix.rowCount,
            bytes: try matrix.rows(0..<matrix.rowCount)
        )
    }

    private init(lines bytes: UnsafeRawBufferPointer) throws(OmenError) {
        var lines = try RecordLines(bytes)
        var vectors: [UInt8] = []
        var count = 0
        while let record = try lines.next(vectors: &vectors) {
            guard record.hasVector else {
                throw OmenError(.badRequest, "line \(lines.lineNumber): no \"vector\"")
            }
            count += 1
        }
        self.init(element: .f32, dim: lines.dim ?? 0, count: count, bytes: vectors)
    }
}

/// The ids of vectors, one per row: whole numbers, lines of text, or the `"id"` of records.
enum IDFile {
    static func read(_ path: String) throws(OmenError) -> [RecordID] {
        let file = try mapInput(path)
        return try reading(path) { () throws(OmenError) in
            switch FileKind(path: path) {
            case .npy: return try numbers(try IntegerMatrix(npy: file.bytes))
            case .ivecs: return try numbers(try IntegerMatrix(ivecs: file.bytes))
            case .jsonl: return try RecordLines(file.bytes).ids().map(\.id)
            case .fvecs, .bvecs: throw OmenError(.badRequest, "vectors, expected ids")
            case nil: return try IDLines.read(file.bytes)
            }
        }
    }

    private static func numbers(_ matrix: IntegerMatrix) throws(OmenError) -> [RecordID] {
        guard matrix.columnCount == 1 else {
            throw OmenError(.badRequest, "\(matrix.columnCount) columns, expected one id per row")
        }
        var ids: [RecordID] = []
        ids.reserveCapacity(matrix.rowCount)
        for row in 0..<matrix.rowCount {
            guard let number = matrix.value(row: row, column: 0) else {
                throw OmenError(.badRequest, "the id of row \(row) is negative")
            }
            ids.append(.number(number))
        }
        return ids
    }
}

/// The ids that exact search would have found, to measure recall against.
struct TrueNeighbors {
    private let rows: [Set<RecordID>]
    private let k: Int
    private let areNamed: Bool

    /// The file holds numbers in rows, one row per query, nearest first, at least `k` of them; the
    /// file `ids`, where there is one, says what ids these numbers are the rows of.
    init(file path: String, ids: String?, k: Int, queryCount: Int) throws(OmenError) {
        let names = ids == nil ? nil : try ids.map(IDFile.read)
        let file = try mapInput(path)
        self.k = k
        areNamed = names != nil
        rows = try reading(path) { () throws(OmenError) in
            let matrix: IntegerMatrix
            switch FileKind(path: path) {
            case .npy: matrix = try IntegerMatrix(npy: file.bytes)
            case .ivecs: matrix = try IntegerMatrix(ivecs: file.bytes)
            case .fvecs, .bvecs, .jsonl, nil:
                throw OmenError(.badRequest, "expected a .npy or .ivecs file")
            }
            guard matrix.rowCount == queryCount else {
                throw OmenError(
                    .badRequest,
                    "neighbours of \(matrix.rowCount) queries, there are \(queryCount)"
                )
            }
            guard matrix.columnCount >= k else {
                throw OmenError(
                    .badRequest,
                    "\(matrix.columnCount) neighbours per query, recall@\(k) needs \(k)"
                )
            }
            return try Self.nearest(matrix, k: k, names: names)
        }
    }

    private static func nearest(
        _ matrix: IntegerMatrix,
        k: Int,
        names: [RecordID]?
    ) throws(OmenError) -> [Set<RecordID>] {
        var rows: [Set<RecordID>] = []
        for row in 0..<matrix.rowCount {
            var nearest: Set<RecordID> = []
            for column in 0..<k {
                guard let number = matrix.value(row: row, column: column) else {
                    throw OmenError(.badRequest, "neighbour \(column) of query \(row) is negative")
                }
                guard let names else {
                    nearest.insert(.number(number))
                    continue
                }
                guard number < UInt64(names.count) else {
                    throw OmenError(
                        .badRequest,
                        "neighbour \(column) of query \(row) is row \(number), there are \(names.count) ids"
                    )
                }
                nearest.insert(names[Int(number)])
            }
            rows.append(nearest)
        }
        return rows
    }

    /// Share of the true `k` neighbours among the hits, averaged over the queries.
    ///
    /// - Throws: `.badRequest` when a hit has a text id and no ids were given: row numbers would
    ///   never be found among them, which would look like a recall of 0.
    func recall(of hits: [[Hit]]) throws(OmenError) -> Double {
        if !areNamed {
            for hit in hits.joined() {
                guard case .text(let text) = hit.id else { continue }
                throw OmenError(
                    .badRequest,
                    "hits have text ids such as '\(text)', neighbours are row numbers: --ids FILE tells which row has which id"
                )
            }
        }
        let found = zip(rows, hits).reduce(0) { sum, pair in
            sum + pair.1.prefix(k).count { pair.0.contains($0.id) }
        }
        return Double(found) / Double(max(1, rows.count * k))
    }
}
