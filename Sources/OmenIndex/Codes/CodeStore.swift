internal import COmenKernels
internal import OmenSystem
internal import OmenCore

/// Short codes of an index's vectors, which graphs are built and walked on.
///
/// An index whose vectors are bytes, or that is to have no codes, walks on the vectors themselves;
/// so does one whose codes would blur near neighbours together.
final class CodeStore {
    let rows: RowStore
    var quantizer: Quantizer
    /// u8 codes of linked rows, `[linkedCount][codeStride]`.
    let bytes: UnsafeMutableRawPointer
    /// The highest bits of these, `[linkedCount][packedStride]`, under codes u4 and u1.
    let packed: UnsafeMutableRawPointer
    /// What rows add to distances of codes, `[linkedCount][termCount]`; see `pack`.
    let terms: UnsafeMutablePointer<Float>
    /// Rows whose codes are ready to be searched: all linked ones but while linking.
    var packedCount = 0

    var schema: CollectionSchema { rows.schema }
    var layout: RowLayout { rows.layout }

    init(
        _ rows: RowStore,
        codes: ReservedRegion,
        packed: ReservedRegion,
        terms: ReservedRegion
    ) {
        self.rows = rows
        quantizer = Quantizer(layout: rows.layout)
        bytes = codes.base
        self.packed = packed.base
        self.terms = terms.base.assumingMemoryBound(to: Float.self)
    }

    deinit { quantizer.deallocate() }

    /// Whether codes of their own may stand beside the vectors.
    private var hasOwnCodes: Bool { schema.element == .f32 && schema.codes != .f32 }
    /// Whether the graph is traversed on approximate codes, so that results need reranking.
    var areTraversed: Bool { hasOwnCodes && quantizer.kind == .affine }
    /// Whether it is traversed on packed codes, so that results are first reranked on u8 codes.
    var arePackedTraversed: Bool {
        areTraversed && (schema.codes == .u1 || schema.codes == .u4 && !quantizer.blursNibbles)
    }
    /// Whether the quantizer is to be trained before more rows are encoded.
    var wantTraining: Bool { hasOwnCodes && quantizer.wantsTraining(rowCount: rows.count) }

    /// Trains the quantizer on a sample of all rows, and encodes the linked ones.
    ///
    /// - Precondition: There is a row.
    /// - Complexity: O(linkedCount * dim).
    func train(linkedCount: Int) {
        let rowCount = rows.count
        let count = min(rowCount, Quantizer.sampleCountMax)
        var sample: [Float] = []
        sample.reserveCapacity(count * schema.dim)
        for i in 0..<count { append(i * rowCount / count, to: &sample) }
        quantizer.train(sample: sample, pairs: nearPairs(), rowCount: rowCount)
        guard quantizer.kind == .affine else { return }
        for row in 0..<linkedCount { encode(row) }
        packedCount = 0
    }

    /// Appends the elements of a row as they are encoded, before rounding.
    private func append(_ row: Int, to vectors: inout [Float]) {
        let vector = rows.floats(row)
        let factor = factor(row)
        for d in 0..<schema.dim { vectors.append(vector[d] * factor) }
    }

    /// Rows whose near neighbours are looked for in training, and among how many rows.
    private static let pairCount = 24
    private static let pairPoolCount = 16_384
    /// The neighbour that counts: one of the ten that most searches want.
    private static let pairRank = 5
    /// Nearest rows that are looked at for one that is not equal.
    private static let pairListCount = 40

    /// Some rows and a near neighbour of each, in the space of the codes; `[pairCount][2][dim]`.
    ///
    /// - Complexity: O(pairCount * min(rows, pairPoolCount) * dim).
    private func nearPairs() -> [Float] {
        let poolCount = min(rows.count, Self.pairPoolCount)
        let pool = (0..<poolCount).map { UInt32(truncatingIfNeeded: $0 * rows.count / poolCount) }
        let pairCount = min(Self.pairCount, rows.count)
        let chosen = (0..<pairCount).map { UInt32(truncatingIfNeeded: $0 * rows.count / pairCount) }
        let lists = nearest(to: chosen, among: pool)
        defer { for list in lists { list.deallocate() } }
        // Of a part of the rows, fewer are as near.
        let rank = max(1, Self.pairRank * poolCount / rows.count)
        var pairs: [Float] = []
        for (row, list) in zip(chosen, lists) {
            let start = pairs.count
            append(Int(row), to: &pairs)
            let own = Array(pairs[start...])
            var distinctCount = 0
            for i in 0..<list.count where distinctCount < rank {
                pairs.removeSubrange((start + schema.dim)...)
                append(Int(Candidates.row(list.keys[i])), to: &pairs)
                // Duplicates say nothing about how finely codes must resolve.
                if pairs[(start + schema.dim)...] != own[...] { distinctCount += 1 }
            }
            if distinctCount < rank { pairs.removeSubrange(start...) }
        }
        return pairs
    }

    /// The nearest rows of a pool to each of some rows, in the space of the codes.
    ///
    /// Rows of the pool are compared in blocks that stay in the cache.
    private func nearest(to chosen: [UInt32], among pool: [UInt32]) -> [Candidates] {
        let isInner = schema.metric == .ip
        var scorer = isInner ? rows.productScorer() : rows.exactScorer()
        var lists = chosen.map { _ in Candidates(reserving: Self.pairListCount + 1) }
        for i in lists.indices {
            lists[i].reset(width: Self.pairListCount, capacity: Self.pairListCount)
        }
        let blockCount = Scratch.scanCount
        var distances = [Float](repeating: 0, count: blockCount)
        for first in stride(from: 0, to: pool.count, by: blockCount) {
            let block = Array(pool[first..<min(first + blockCount, pool.count)])
            for i in chosen.indices {
                scorer.aim(at: chosen[i])
                scorer.score(block, block.count, into: &distances)
                for j in block.indices {
                    var distance = distances[j]
                    if isInner {
                        // Codes are of directions: the largest cosine is nearest.
                        let length = rows.length(Int(block[j]))
                        distance = length > 0 ? distance / length : .infinity
                    }
                    let key = Candidates.key(distance, block[j])
                    if key < lists[i].bound { _ = lists[i].insertLive(key) }
                }
            }
        }
        return lists
    }

    /// Derives what searching needs from the codes of rows that were linked since the last call;
    /// what links rows ends with it.
    ///
    /// That is one number a row under codes u8, and a packed code and two numbers under u4 and u1.
    /// With y the code around its middle:
    ///
    /// | codes | packed | numbers | numbers under ip |
    /// |---|---|---|---|
    /// | `u8` | | |y|^2 | length |
    /// | `u4` | high nibbles, standing for z | 2 <y, z> - |y|^2, then |y|^2 | length, length |
    /// | `u1` | signs s of y | |y|^2, then |y|^2 / <y, s> | length, length * |y|^2 / <y, s> |
    ///
    /// With these |q - y|^2 is estimated without the part of the rounding error that is known (as
    /// Gao, Long do for bits: "RaBitQ", 2024). Under ip codes are of vectors of length 1: the
    /// longest are most answers, and one range for all lengths would round short ones to nothing.
    /// - Complexity: O(dim) for each such row, about 100 ns at 384 dimensions.
    func pack(linkedCount: Int) {
        guard areTraversed else { return }
        let kernels = Kernels.best.pointee
        let isInner = schema.metric == .ip
        while packedCount < linkedCount {
            let row = packedCount
            packedCount += 1
            let code = (bytes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
            let target = (packed + row * layout.packedStride).assumingMemoryBound(to: UInt8.self)
            let numbers = terms + row * layout.termCount
            let sums = kernels.sums(code, schema.dim)
            let length = isInner ? rows.length(row) : 1
            switch schema.codes {
            case .f32: break
            case .u8: numbers[0] = isInner ? length : sums.squares
            case .u4:
                if arePackedTraversed { kernels.pack_u4(code, layout.codeStride, target) }
                numbers[0] = isInner ? length : sums.nibbles
                numbers[1] = isInner ? length : sums.squares
            case .u1:
                kernels.pack_u1(code, layout.codeStride, target)
                numbers[0] = isInner ? length : sums.squares
                // |y| is at least a half in every dimension, so this is finite.
                numbers[1] = length * sums.squares / sums.magnitudes
            }
        }
    }

    /// Writes the code of a row that is linked.
    func encode(_ row: Int) {
        quantizer.encodedCount += 1
        quantizer.clampedCount += write(row)
    }

    /// Writes the code of a row.
    ///
    /// - Returns: How many elements were clamped.
    func write(_ row: Int) -> Int {
        let code = (bytes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
        // Linking compares codes by their lengths already.
        if schema.metric == .ip { terms[row * layout.termCount] = rows.length(row) }
        return quantizer.encode(rows.floats(row), factor: factor(row), into: code)
    }

    /// What the elements of a row are multiplied by before they are encoded.
    private func factor(_ row: Int) -> Float {
        switch schema.metric {
        case .l2: return 1
        case .cosine: return rows.norms[row]
        case .ip:
            let length = rows.length(row)
            // A row without a direction has any code: its length makes its products zero.
            return length > 0 ? inverse(Double(length)) : 0
        }
    }

    /// Scores rows against rows by squared distance, in which the graph is built; to be aimed at
    /// one.
    func rowScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        guard areTraversed else {
            guard schema.metric == .cosine else { return rows.squaredScorer() }
            var scorer = rows.exactScorer()
            // Graphs need no more digits of near rows.
            scorer.measuresNearTwice = false
            return scorer
        }
        // Codes under cosine are those of normalised vectors, which rank by squared distance.
        guard schema.metric == .ip else { return scorer(kernels, .plain) }
        return scorer(kernels, .lengths(termCount: layout.termCount))
    }

    /// Scores rows against rows under ip by inner product; to be aimed at one.
    ///
    /// Distances are negative products, or twice these: they rank.
    func productScorer() -> Scorer {
        guard areTraversed else { return rows.productScorer() }
        return scorer(Kernels.best.pointee, .products(termCount: layout.termCount))
    }

    /// Scores u8 codes of rows against each other.
    private func scorer(_ kernels: omen_kernels, _ mode: Scorer.Mode) -> Scorer {
        Scorer(
            kernel: kernels.l2_u8,
            query: UnsafeRawPointer(bytes),
            base: UnsafeRawPointer(bytes),
            stride: layout.codeStride,
            dim: layout.codeStride,
            mode: mode,
            aux: UnsafePointer(schema.metric == .ip ? terms : rows.norms),
            scale: schema.metric == .ip ? quantizer.scale * quantizer.scale : 1
        )
    }
}
