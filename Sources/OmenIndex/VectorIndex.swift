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

    /// The vectors of all rows.
    let rowStore: RowStore
    /// What the graph is built and walked on instead of these.
    let codeStore: CodeStore
    /// The links of the linked rows.
    let graph: Graph
    /// Backing memory by section; what the pointers of these three point into.
    let regions: [Section: ReservedRegion]
    /// The rows that a search for links has seen.
    let stamps: VisitedStamps
    /// The owner's; searches beside each other bring their own.
    package let scratch: Scratch
    /// Hot rows being prepared for the graph; nil between batches.
    var batch: LinkBatch?
    /// While true, `link` does nothing, so that another thread may read linked rows.
    package internal(set) var isFrozen = false
    /// How searches walk; chosen when it was built at once.
    var settings = SearchSettings()
    /// How well it finds near rows; measured when it was built at once, nil when it never was.
    package internal(set) var calibration: SearchCalibration?
    /// The queries to calibrate with; none: rows of its own.
    package var sample = CalibrationSample()
    /// LSN of the sample that the last build calibrated with, or would have with enough rows; 0 for
    /// rows of its own.
    package internal(set) var calibratedLSN: UInt64 = 0

    var seed: UInt64 { graph.seed }
    package var rowCount: Int { rowStore.count }
    package var deletedCount: Int { rowStore.deletedCount }
    package var liveCount: Int { rowStore.count - rowStore.deletedCount }
    package var linkedCount: Int { graph.linkedCount }
    /// Rows that a build linked together, the first ones; the others were linked one by one.
    package var builtCount: Int { graph.builtCount }
    /// Rows that the links of the file name which the index was opened from.
    package var storedLinkedCount: Int { graph.storedLinkedCount }
    /// Most rows it can hold.
    package var rowCountMax: Int { layout.rowCountMax }
    /// Where the full vectors lie, one every `vectorStride` bytes.
    package let vectorRegion: ReservedRegion
    package var vectorStride: Int { layout.vectorStride }

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
        self.regions = regions
        vectorRegion = region(.vectors)
        rowStore = RowStore(
            schema,
            layout,
            vectors: region(.vectors),
            flags: region(.flags),
            norms: region(.aux)
        )
        codeStore = CodeStore(
            rowStore,
            codes: region(.codes),
            packed: region(.packed),
            terms: region(.terms)
        )
        graph = Graph(
            layout,
            seed: seed,
            links: region(.links),
            uppers: Section.uppers.map(region)
        )
        stamps = try VisitedStamps(rowCountMax: layout.rowCountMax)
        scratch = try Scratch(layout: layout)
    }

    /// Adds a vector as a hot row: found by the next search, linked later.
    ///
    /// - Parameter vector: `schema.vectorByteCount` bytes; need not be aligned.
    /// - Returns: Its row.
    /// - Throws: `.resourceExhausted` when the index is full, `.badRequest` for a zero vector under
    ///   cosine. Finiteness is the caller's to check.
    package func append(_ vector: UnsafeRawPointer) throws(OmenError) -> UInt32 {
        if rowCount >= rowStore.capacity { try reserve(rowCount + 1) }
        let row = rowCount
        try rowStore.append(vector)
        advisePages(from: row, to: row + 1)
        return UInt32(row)
    }

    /// Adds row `row` of another index of the same schema as a hot row.
    ///
    /// - Precondition: `row < other.rowCount`.
    /// - Returns: Its row here.
    /// - Throws: `.resourceExhausted` when the index is full.
    package func append(_ row: UInt32, of other: VectorIndex) throws(OmenError) -> UInt32 {
        precondition(row < other.rowCount && other.schema == schema, "row \(row) of another index")
        return try append(other.rowStore.vector(Int(row)))
    }

    /// Hides a row from all further searches; deleting twice changes nothing.
    ///
    /// - Precondition: `row < rowCount`.
    package func markDeleted(_ row: UInt32) {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        rowStore.markDeleted(row)
    }

    /// Whether a row was deleted.
    ///
    /// - Precondition: `row < rowCount`.
    package func isDeleted(_ row: UInt32) -> Bool {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        return rowStore.isDeleted(row)
    }

    /// Replaces the contents of `bytes` with a row's full vector, as it was appended.
    ///
    /// - Precondition: `row < rowCount`.
    package func copyVector(_ row: UInt32, into bytes: inout [UInt8]) {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        bytes.removeAll(keepingCapacity: true)
        bytes.append(
            contentsOf: UnsafeRawBufferPointer(
                start: rowStore.vector(Int(row)),
                count: schema.vectorByteCount
            )
        )
    }

    /// Trains the quantizer when that is due, and encodes all linked rows again.
    ///
    /// - Precondition: Not frozen, and there is a row.
    func trainCodes() {
        guard codeStore.wantTraining else { return }
        precondition(!isFrozen, "codes must stand still while frozen")
        // Its rows have codes of the old kind.
        batch = nil
        let old = codeStore.quantizer
        codeStore.train(linkedCount: linkedCount)
        guard schema.metric == .l2, settings.strangerLimit < .infinity else { return }
        // Under l2 the limit was measured in squared steps of the old codes.
        let new = codeStore.quantizer
        if old.kind != new.kind {
            settings.strangerLimit = .infinity
        } else if new.kind == .affine {
            let ratio = old.scale / new.scale
            settings.strangerLimit *= ratio * ratio
        }
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
