package import OmenSystem
internal import COmenKernels
internal import Glibc
package import OmenCore

/// The vectors of one shard of one collection: a graph over the older rows, a scanned rest.
///
/// Rows are numbered in the order of `append` and never move. Rows `0..<linkedCount` are in the
/// graph (HNSW: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using
/// hierarchical navigable small world graphs", 2016); rows `linkedCount..<rowCount` are hot: every
/// search scans them. Memory only. Belongs to one thread at a time, but while nothing changes any
/// number of threads may search, each with scratch memory of its own.
///
/// Invariants, checked by `checkInvariants()`:
/// - every link names another linked row, no list names a row twice, none is longer than its slots;
/// - every linked row that was alive when linked is reachable on level 0 from the entry point;
/// - a row below `linkedCount` keeps its vector and its code while the index is frozen.
package final class VectorIndex {
    package let schema: CollectionSchema
    let layout: RowLayout
    let seed: UInt64

    package internal(set) var rowCount = 0
    package internal(set) var linkedCount = 0
    package internal(set) var deletedCount = 0
    /// Rows that a build linked together, the first ones; the others were linked one by one.
    package internal(set) var builtCount = 0
    /// Rows that the links of the file name which the index was opened from.
    package internal(set) var storedLinkedCount = 0
    /// Linked rows whose codes are ready to be searched: all of them but while linking.
    var packedCount = 0
    /// While true, `link` does nothing, so that another thread may read linked rows.
    package internal(set) var isFrozen = false
    package var liveCount: Int { rowCount - deletedCount }
    /// Rows that have addresses: all that there may be, unless these are limited.
    var rowCapacity = 0
    /// Most rows it can hold.
    package var rowCountMax: Int { layout.rowCountMax }

    /// Backing memory by section; what pointers below point into.
    let regions: [Section: ReservedRegion]
    let visitedRegion: ReservedRegion
    /// Where the full vectors lie, one every `vectorStride` bytes.
    package let vectorRegion: ReservedRegion
    package var vectorStride: Int { layout.vectorStride }
    let vectors: UnsafeMutableRawPointer
    let codes: UnsafeMutableRawPointer
    let packed: UnsafeMutableRawPointer
    let terms: UnsafeMutablePointer<Float>
    let links: UnsafeMutablePointer<UInt32>
    let deleted: UnsafeMutablePointer<UInt64>
    let aux: UnsafeMutablePointer<Float>
    let uppers: [UnsafeMutablePointer<UInt32>]
    /// Nodes on each upper level, lowest first.
    var upperCounts = [Int](repeating: 0, count: Section.uppers.count)

    /// Where every search begins; nil until a live row is linked.
    var entry: Entry?
    /// Least and largest squared norm of any row, under ip.
    var squaredNormMin = Float.greatestFiniteMagnitude
    var squaredNormMax: Float = 0
    /// The longest linked rows, under ip: where searches begin besides.
    var longRows = LongRows()
    /// Rows at which searches may begin too: first the rows that a build chose, then far rows.
    var landmarks: [UInt32] = []
    /// Landmarks that a build chose.
    var chosenLandmarkCount = 0
    /// Hot rows being prepared for the graph; nil between batches.
    var batch: LinkBatch?
    var quantizer: Quantizer
    /// How searches walk; chosen when it was built at once.
    var settings = SearchSettings()
    /// How well it finds near rows; measured when it was built at once, nil when it never was.
    package internal(set) var calibration: SearchCalibration?
    /// The queries to calibrate with; none: rows of its own.
    package var sample = CalibrationSample()
    /// LSN of the sample that the last build calibrated with, or would have with enough rows; 0 for
    /// rows of its own.
    package internal(set) var calibratedLSN: UInt64 = 0
    /// The owner's; searches beside each other bring their own.
    package let scratch: Scratch
    /// Stamp of the running search in the visited bytes; rows with another stamp are unvisited.
    private var epoch: UInt8 = 0

    /// A node of the highest level.
    struct Entry: Equatable {
        /// 0 when there is no upper level.
        var level: Int
        /// Row on level 0, else index of the node on its level.
        var slot: UInt32
    }

    /// An empty index.
    ///
    /// - Throws: `.badRequest` for a bad schema, `.resourceExhausted` without address space.
    package convenience init(schema: CollectionSchema, seed: UInt64) throws(OmenError) {
        try self.init(schema: schema, seed: seed, given: [:])
    }

    /// Takes the regions that are given and reserves the others.
    init(
        schema: CollectionSchema,
        seed: UInt64,
        given: [Section: ReservedRegion]
    ) throws(OmenError) {
        try schema.validate()
        self.schema = schema
        self.seed = seed
        layout = RowLayout(schema)
        var regions: [Section: ReservedRegion] = [:]
        for section in Section.allCases where section != .state {
            let byteCountMax = Self.regionByteCountMax(section, schema: schema)
            if let region = given[section] {
                guard region.byteCountMax >= byteCountMax else {
                    throw OmenError(
                        .corrupt,
                        "region of section \(section) has \(region.byteCountMax) bytes"
                            + ", expected \(byteCountMax)"
                    )
                }
                regions[section] = region
            } else {
                regions[section] = try ReservedRegion(growingTo: byteCountMax, from: 0)
            }
        }
        func region(_ section: Section) -> ReservedRegion {
            guard let region = regions[section] else {
                preconditionFailure("no region for section \(section)")
            }
            return region
        }
        func base(_ section: Section) -> UnsafeMutableRawPointer { region(section).base }
        self.regions = regions
        vectorRegion = region(.vectors)
        visitedRegion = try ReservedRegion(growingTo: layout.rowCountMax, from: 0)
        vectors = base(.vectors)
        codes = base(.codes)
        packed = base(.packed)
        terms = base(.terms).assumingMemoryBound(to: Float.self)
        links = base(.links).assumingMemoryBound(to: UInt32.self)
        deleted = base(.flags).assumingMemoryBound(to: UInt64.self)
        aux = base(.aux).assumingMemoryBound(to: Float.self)
        uppers = Section.uppers.map { base($0).assumingMemoryBound(to: UInt32.self) }
        quantizer = Quantizer(layout: layout)
        scratch = try Scratch(layout: layout)
    }

    deinit { quantizer.deallocate() }

    /// Adds a vector as a hot row: found by the next search, linked later.
    ///
    /// - Parameter vector: `schema.vectorByteCount` bytes; need not be aligned.
    /// - Returns: Its row.
    /// - Throws: `.resourceExhausted` when the index is full, `.badRequest` for a zero vector under
    ///   cosine. Finiteness is the caller's to check.
    package func append(_ vector: UnsafeRawPointer) throws(OmenError) -> UInt32 {
        if rowCount >= rowCapacity { try reserve(rowCount + 1) }
        let row = rowCount
        let target = vectors + row * layout.vectorStride
        target.copyMemory(from: vector, byteCount: schema.vectorByteCount)
        switch schema.metric {
        case .l2: break
        case .cosine:
            let norm = schema.element.norm(of: target, dim: schema.dim)
            guard norm > 0 else {
                throw OmenError(.badRequest, "a zero vector has no direction for cosine")
            }
            aux[row] = inverse(norm)
        case .ip:
            let norm = schema.element.norm(of: target, dim: schema.dim)
            noteSquaredNorm(Float(norm * norm), of: row)
        }
        rowCount += 1
        advisePages(from: row, to: row + 1)
        return UInt32(row)
    }

    /// Sets the squared norm of a row under ip.
    func noteSquaredNorm(_ value: Float, of row: Int) {
        aux[row] = value
        squaredNormMin = min(squaredNormMin, value)
        squaredNormMax = max(squaredNormMax, value)
    }

    /// Adds row `row` of another index of the same schema as a hot row.
    ///
    /// - Precondition: `row < other.rowCount`.
    /// - Returns: Its row here.
    /// - Throws: `.resourceExhausted` when the index is full.
    package func append(_ row: UInt32, of other: VectorIndex) throws(OmenError) -> UInt32 {
        precondition(row < other.rowCount && other.schema == schema, "row \(row) of another index")
        return try append(other.vectors + Int(row) * other.layout.vectorStride)
    }

    /// Hides a row from all further searches; deleting twice changes nothing.
    ///
    /// - Precondition: `row < rowCount`.
    package func markDeleted(_ row: UInt32) {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        guard !isDeleted(row) else { return }
        deleted[Int(row >> 6)] |= 1 << UInt64(row & 63)
        deletedCount += 1
    }

    /// Whether a row was deleted.
    ///
    /// - Precondition: `row < rowCount`.
    package func isDeleted(_ row: UInt32) -> Bool {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        return UnsafePointer(deleted).bit(row)
    }

    /// Replaces the contents of `bytes` with a row's full vector, as it was appended.
    ///
    /// - Precondition: `row < rowCount`.
    package func copyVector(_ row: UInt32, into bytes: inout [UInt8]) {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        bytes.removeAll(keepingCapacity: true)
        let source = vectors + Int(row) * layout.vectorStride
        bytes.append(
            contentsOf: UnsafeRawBufferPointer(start: source, count: schema.vectorByteCount)
        )
    }

    /// Begins a search: a stamp that no row carries.
    func nextEpoch() -> UInt8 {
        epoch &+= 1
        if epoch == 0 {
            visitedRegion.base.initializeMemory(as: UInt8.self, repeating: 0, count: rowCount)
            epoch = 1
        }
        return epoch
    }

    /// Bytes of an array from which on it asks for large pages.
    static let largePageThreshold = 1 << 20

    /// Asks for 2 MiB pages when an array outgrows small ones between two row counts.
    ///
    /// Random access to rows misses the TLB at nearly every step with 4 KiB pages. Small indexes
    /// keep small pages, so that many collections cost little.
    func advisePages(from oldCount: Int, to newCount: Int) {
        let threshold = Self.largePageThreshold
        func advise(_ section: Section, _ stride: Int) {
            guard oldCount * stride < threshold, newCount * stride >= threshold,
                let region = regions[section]
            else { return }
            region.adviseLargePages()
        }
        advise(.vectors, layout.vectorStride)
        advise(.codes, layout.codeStride)
        advise(.packed, layout.packedStride)
        advise(.links, layout.baseSlots * 4)
    }
}

/// 1 / `norm`, kept finite.
func inverse(_ norm: Double) -> Float {
    min(Float(1 / norm), .greatestFiniteMagnitude)
}

extension ElementType {
    /// Euclidean norm of the `dim` elements at `vector`.
    func norm(of vector: UnsafeRawPointer, dim: Int) -> Double {
        var sum = 0.0
        switch self {
        case .f32:
            let values = vector.assumingMemoryBound(to: Float.self)
            for i in 0..<dim { sum += Double(values[i]) * Double(values[i]) }
        case .u8:
            let values = vector.assumingMemoryBound(to: UInt8.self)
            for i in 0..<dim { sum += Double(values[i]) * Double(values[i]) }
        }
        return sum.squareRoot()
    }
}
