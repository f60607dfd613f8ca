/// How far apart two vectors are; smaller is nearer under every metric.
///
/// | metric | distance | range |
/// |---|---|---|
/// | `l2` | squared Euclidean, sum of (q-x)^2 | 0... |
/// | `cosine` | 1 - cos(q, x); zero vectors are refused | 0...2 |
/// | `ip` | minus the inner product | any |
///
/// Raw values are in files and frames: append, never renumber.
package enum Metric: UInt8, Sendable, CaseIterable {
    case l2 = 0
    case cosine = 1
    case ip = 2
}

/// The number type of a stored or transmitted vector element.
package enum ElementType: UInt8, Sendable, CaseIterable {
    case f32 = 0
    case u8 = 1

    /// Bytes of one element.
    package var byteCount: Int { self == .f32 ? 4 : 1 }
}

/// What the graph is traversed on.
///
/// `u8` is exact when the stored elements are `u8`; otherwise each dimension has its own affine
/// offset and results are reranked from the full vectors. `u4` and `u1` are the highest bits of
/// such u8 codes, for `f32` elements only; their results are reranked on the u8 codes before.
///
/// Raw values are in files and frames: append, never renumber.
package enum CodeKind: UInt8, Sendable, CaseIterable {
    case f32 = 0
    case u8 = 1
    case u4 = 2
    case u1 = 3

    /// Fewest dimensions that a distance of such codes can be told from noise in.
    package var dimensionMin: Int {
        switch self {
        case .f32, .u8: 1
        case .u4: 64
        case .u1: 256
        }
    }

    /// What is fastest at equal recall: u4 from 256 dimensions on, where its rounding is lost among
    /// so many, and u8 below.
    ///
    /// On 20,000 text embeddings of 384 dimensions u4 answers a twentieth more queries per second
    /// than u8 at recall 0.95, a tenth more at 0.98, and its walks read half the memory.
    package static func standard(dim: Int, element: ElementType) -> CodeKind {
        element == .f32 && dim >= 256 ? .u4 : .u8
    }
}

/// The fixed properties of a collection, decided when it is created.
package struct CollectionSchema: Equatable, Sendable {
    /// Elements per vector, `1...Limits.dimensionMax`.
    package var dim: Int
    package var metric: Metric
    /// What full vectors are stored as.
    ///
    /// `u8` collections take only whole numbers 0...255.
    package var element: ElementType
    /// `CodeKind.standard` unless given.
    package var codes: CodeKind
    /// Links a row asks for when inserted; level 0 holds up to `2 * m` (Malkov, Yashunin 2016).
    package var m: Int
    /// Width of the candidate list while inserting.
    ///
    /// 96 gives at least the recall of HNSW implementations at 200; 64 inserts a third faster and
    /// loses 0.004 at ef 32. Where many rows wait to be linked, three eighths of it are used.
    package var efConstruction: Int

    package init(
        dim: Int,
        metric: Metric = .l2,
        element: ElementType = .f32,
        codes: CodeKind? = nil,
        m: Int = 16,
        efConstruction: Int = 96
    ) {
        self.dim = dim
        self.metric = metric
        self.element = element
        self.codes = codes ?? .standard(dim: dim, element: element)
        self.m = m
        self.efConstruction = efConstruction
    }

    /// Bytes of one full vector as stored and transmitted, without padding.
    package var vectorByteCount: Int { dim * element.byteCount }

    /// Checks every property against its limit.
    package func validate() throws(OmenError) {
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
        guard element == .f32 || codes == .u8 else {
            throw OmenError(
                .badRequest,
                "codes \(codes) with element u8: u8 elements need codes u8"
            )
        }
        guard dim >= codes.dimensionMin else {
            throw OmenError(
                .badRequest,
                "codes \(codes) with dim \(dim): expected dim \(codes.dimensionMin) or more"
            )
        }
        guard (4...64).contains(m) else {
            throw OmenError(.badRequest, "m is \(m), expected 4...64")
        }
        guard (m...1000).contains(efConstruction) else {
            throw OmenError(
                .badRequest,
                "ef_construction is \(efConstruction), expected \(m)...1000"
            )
        }
    }
}

/// Rules for the names of collections.
package enum CollectionName {
    /// The collection used where none is named.
    package static let standard = "default"

    /// Accepts `[a-z0-9_-]{1,64}`; names never become paths, and still hold nothing a path would.
    package static func validate(_ name: String) throws(OmenError) {
        let count = name.utf8.count
        guard (1...Limits.collectionNameCharacterCountMax).contains(count) else {
            throw OmenError(
                .badRequest,
                "collection name has \(count) characters, expected 1...\(Limits.collectionNameCharacterCountMax)"
            )
        }
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"):
                continue
            default:
                throw OmenError(
                    .badRequest,
                    "collection name has byte \(byte), expected only a-z 0-9 _ -"
                )
            }
        }
    }
}
