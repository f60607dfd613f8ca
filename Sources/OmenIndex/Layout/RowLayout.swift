package import OmenCore

/// Strides and limits of every array of one index, derived from its schema.
///
/// Rows are padded with zeros to whole cache lines (short ones to 16 or 32 bytes), so that no
/// kernel has a tail to handle and a row never touches one line more than it must.
struct RowLayout: Equatable {
    /// Elements of a vector.
    let dim: Int
    /// Bytes from one full vector to the next.
    let vectorStride: Int
    /// Elements in a stride of full vectors; the padding counts as zeros.
    let vectorDim: Int
    /// Bytes from one code to the next; also its padded dimension.
    let codeStride: Int
    /// Bytes from one packed code to the next, under codes u4 and u1; else 0.
    let packedStride: Int
    /// Floats each coded row adds to its distances; see `VectorIndex.packCodes`.
    let termCount: Int
    /// Links a row holds on level 0.
    let baseSlots: Int
    /// Links a node holds on each upper level.
    let upperSlots: Int
    /// `UInt32` words of an upper node: row, slot one level below, links.
    let nodeWords: Int
    /// Most rows one index holds.
    let rowCountMax: Int

    /// Largest reserved range of addresses of one array, in bytes.
    ///
    /// 2^47 bytes of addresses have to suffice for hundreds of collections.
    static let regionByteCountMax = 64 << 30

    init(_ schema: CollectionSchema) {
        dim = schema.dim
        vectorStride = Self.padded(schema.vectorByteCount)
        vectorDim = vectorStride / schema.element.byteCount
        codeStride = Self.padded(schema.dim)
        switch schema.codes {
        case .f32, .u8: packedStride = 0
        case .u4: packedStride = codeStride / 2
        case .u1: packedStride = codeStride / 8
        }
        let hasOwnCodes = schema.element == .f32 && schema.codes != .f32
        termCount = hasOwnCodes ? (packedStride > 0 ? 2 : 1) : 0
        baseSlots = 2 * schema.m
        upperSlots = schema.m
        nodeWords = 2 + schema.m
        let widest = max(vectorStride, baseSlots * 4)
        // Bit 31 of a link marks it as pinned, and one value marks the end of a list.
        rowCountMax = min(
            Limits.shardRowCountMax,
            Int(Int32.max) - 1,
            Self.regionByteCountMax / widest
        )
    }

    static func padded(_ byteCount: Int) -> Int {
        if byteCount <= 16 { return 16 }
        if byteCount <= 32 { return 32 }
        return (byteCount + 63) & ~63
    }

    /// Most nodes on an upper level: twice the expected share, and never less than 65,536.
    func nodeCountMax(level: Int) -> Int { nodeCountMax(level: level, of: rowCountMax) }

    /// The same with fewer rows.
    func nodeCountMax(level: Int, of rowCount: Int) -> Int {
        var expected = rowCount
        for _ in 0..<level { expected /= upperSlots }
        return min(rowCount, 2 * expected + 65_536)
    }
}

/// Words of the link lists.
enum Link {
    /// Ends a list; also fills the unused rest of it.
    static let none = UInt32.max
    /// Marks a link of the spanning tree, which pruning must keep.
    ///
    /// The pinned links of all rows form one undirected tree, so every row stays reachable from
    /// every other, whatever pruning does.
    static let pinned: UInt32 = 1 << 31
    /// Takes the mark off.
    static let rowMask: UInt32 = ~pinned
}

extension VectorIndex {
    /// The arrays of an index, as they are written to files: append, never renumber.
    package enum Section: UInt32, CaseIterable, Sendable {
        /// Versioned counts, entry point, seed and quantizer; see `IndexState`.
        case state = 1
        /// Full vectors in the schema's element type, `[rowCount][vectorStride]`.
        case vectors = 2
        /// u8 codes of linked rows, `[linkedCount][codeStride]`; empty when traversal uses the
        /// vectors themselves.
        case codes = 3
        /// Level 0 links, `UInt32[linkedCount][2 * m]`.
        case links = 4
        /// One bit per row, set when deleted; `UInt64[ceil(rowCount / 64)]`.
        case flags = 5
        /// One `Float` per row: inverse norm (cosine) or squared norm (ip); empty under l2.
        case aux = 6
        /// The highest bits of linked rows' codes, `[linkedCount][packedStride]`: what is traversed
        /// under codes u4 and u1, else empty.
        case packed = 7
        /// What linked rows add to distances of codes, `Float[linkedCount][termCount]`.
        case terms = 8
        /// Nodes of level 1: `UInt32[count][2 + m]`, row, slot on level 0, links to level 1 slots.
        case upper1 = 16
        case upper2 = 17
        case upper3 = 18
        case upper4 = 19
        case upper5 = 20
        case upper6 = 21
        case upper7 = 22
        case upper8 = 23

        /// Whether there is an entry of many bytes for each row: too much to look at when opening.
        package var isPerRow: Bool {
            switch self {
            case .vectors, .codes, .links, .aux, .packed, .terms: true
            case .state, .flags, .upper1, .upper2, .upper3, .upper4, .upper5, .upper6, .upper7,
                .upper8:
                false
            }
        }

        /// The sections of the upper levels, lowest first.
        static let uppers: [Section] = [
            .upper1, .upper2, .upper3, .upper4, .upper5, .upper6, .upper7, .upper8,
        ]
    }

    /// Bytes of memory for each row that searching needs: code, links, its share of the upper
    /// levels, flag, stamp and norm.
    ///
    /// Full vectors beside codes are not counted: they are read from the file.
    package static func residentByteCountPerRow(_ schema: CollectionSchema) -> Int {
        let layout = RowLayout(schema)
        let upper = layout.nodeWords * 4 / (schema.m - 1) + 1
        let norm = schema.metric == .l2 ? 0 : 4
        let code =
            layout.termCount > 0
            ? layout.codeStride + layout.packedStride + layout.termCount * 4 : layout.vectorStride
        return code + layout.baseSlots * 4 + upper + norm + 2
    }

    /// Bytes of address space to reserve for a section.
    package static func regionByteCountMax(_ section: Section, schema: CollectionSchema) -> Int {
        let layout = RowLayout(schema)
        return layout.byteCount(of: section, rowCount: layout.rowCountMax)
    }
}

extension RowLayout {
    /// Bytes that a section has at most with this many rows.
    func byteCount(of section: VectorIndex.Section, rowCount: Int) -> Int {
        switch section {
        // Fixed fields, offsets, tables and landmarks; and queries to calibrate with.
        case .state: return (128 << 10) + Limits.sampleCountKept * vectorStride
        case .vectors: return rowCount * vectorStride
        case .codes: return rowCount * codeStride
        case .links: return rowCount * baseSlots * 4
        case .flags: return (rowCount + 63) / 64 * 8
        case .aux: return rowCount * 4
        // Never empty: a region has at least one page.
        case .packed: return rowCount * max(1, packedStride)
        case .terms: return rowCount * max(1, termCount) * 4
        case .upper1, .upper2, .upper3, .upper4, .upper5, .upper6, .upper7, .upper8:
            let level = Int(section.rawValue - VectorIndex.Section.upper1.rawValue) + 1
            return nodeCountMax(level: level, of: rowCount) * nodeWords * 4
        }
    }
}
