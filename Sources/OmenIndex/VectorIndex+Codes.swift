internal import COmenKernels
internal import OmenCore

extension VectorIndex {
    /// Whether codes of their own stand beside the vectors.
    var hasOwnCodes: Bool { schema.element == .f32 && schema.codes != .f32 }
    /// Whether the graph is traversed on approximate codes, so that results need reranking.
    var traversesCodes: Bool { hasOwnCodes && quantizer.kind == .affine }

    /// Whether it is traversed on packed codes, so that results are first reranked on u8 codes.
    var traversesPacked: Bool {
        traversesCodes && (schema.codes == .u1 || schema.codes == .u4 && !quantizer.blursNibbles)
    }

    /// Trains the quantizer when that is due, and encodes all linked rows again.
    ///
    /// - Precondition: Not frozen, and there is a row.
    func prepareCodes() {
        guard hasOwnCodes, quantizer.wantsTraining(rowCount: rowCount) else { return }
        precondition(!isFrozen, "codes must stand still while frozen")
        // Its rows have codes of the old kind.
        batch = nil
        let count = min(rowCount, Quantizer.sampleCountMax)
        var sample: [Float] = []
        sample.reserveCapacity(count * schema.dim)
        for i in 0..<count {
            let row = i * rowCount / count
            let vector = floats(ofRow: row)
            let factor = schema.metric == .cosine ? aux[row] : 1
            for d in 0..<schema.dim { sample.append(vector[d] * factor) }
        }
        quantizer.train(sample: sample, rowCount: rowCount)
        guard quantizer.kind == .affine else { return }
        for row in 0..<linkedCount { encode(row) }
        packedCount = 0
    }

    /// Derives what searching needs from the codes of rows that were linked since the last call;
    /// whatever links rows ends with it.
    ///
    /// That is one number a row under codes u8: |y|^2, where y is the code around its middle. Under
    /// u4 and u1 it is the packed code and two numbers:
    ///
    /// | codes | packed | numbers |
    /// |---|---|---|
    /// | `u4` | high nibbles, standing for z | 2 <y, z> - |y|^2, then |y|^2 |
    /// | `u1` | signs s of y | |y|^2, then |y|^2 / <y, s> |
    ///
    /// With these |q - y|^2 is estimated without the part of the rounding error that is known (as
    /// Gao, Long do for bits: "RaBitQ", 2024).
    /// - Complexity: O(dim) for each such row, about 100 ns at 384 dimensions.
    func packCodes() {
        guard traversesCodes else { return }
        let kernels = Kernels.best.pointee
        let isInner = schema.metric == .ip
        while packedCount < linkedCount {
            let row = packedCount
            packedCount += 1
            let code = (codes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
            let target = (packed + row * layout.packedStride).assumingMemoryBound(to: UInt8.self)
            let numbers = terms + row * layout.termCount
            let sums = kernels.sums(code, schema.dim)
            let squares = isInner ? 0 : sums.squares
            switch schema.codes {
            case .f32: break
            case .u8: numbers[0] = squares
            case .u4:
                if traversesPacked { kernels.pack_u4(code, layout.codeStride, target) }
                numbers[0] = isInner ? 0 : sums.nibbles
                numbers[1] = squares
            case .u1:
                kernels.pack_u1(code, layout.codeStride, target)
                numbers[0] = squares
                // |y| is at least a half in every dimension, so this is finite.
                numbers[1] = sums.squares / sums.magnitudes
            }
        }
    }

    /// Writes the code of a row that is linked.
    func encode(_ row: Int) {
        quantizer.encodedCount += 1
        quantizer.clampedCount += writeCode(row)
    }

    /// Writes the code of a row.
    ///
    /// - Returns: How many elements were clamped.
    func writeCode(_ row: Int) -> Int {
        let code = (codes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
        let factor = schema.metric == .cosine ? aux[row] : 1
        return quantizer.encode(floats(ofRow: row), factor: factor, into: code)
    }

    func floats(ofRow row: Int) -> UnsafePointer<Float> {
        UnsafePointer(
            (vectors + row * layout.vectorStride).assumingMemoryBound(to: Float.self)
        )
    }

    /// Scores rows against rows in the space the graph is built in; aim it before use.
    ///
    /// Under ip that space has one dimension more, which brings all rows to the same length: there
    /// the nearest by squared distance are the largest inner products (Bachrach et al., "Speeding
    /// up the Xbox recommender system using a Euclidean transformation for inner-product spaces",
    /// 2014). A graph on inner products themselves would collapse onto the longest rows.
    func rowScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        let onCodes = traversesCodes
        let onFloats = schema.element == .f32 && !onCodes
        let base = UnsafeRawPointer(onCodes ? codes : vectors)
        let dot = onFloats ? kernels.dot_f32 : kernels.dot_u8
        let l2 = onFloats ? kernels.l2_f32 : kernels.l2_u8
        // Codes under cosine are those of normalised vectors, which rank by squared distance.
        let isCosine = schema.metric == .cosine && !onCodes
        let isLifted = schema.metric == .ip
        var scorer = Scorer(
            kernel: isCosine ? dot : l2,
            query: base,
            base: base,
            stride: onCodes ? layout.codeStride : layout.vectorStride,
            dim: onCodes ? layout.codeStride : layout.vectorDim,
            mode: isCosine ? .cosine : isLifted ? .lifted : .plain,
            aux: UnsafePointer(aux)
        )
        if isLifted {
            scorer.scale = onCodes ? quantizer.scale * quantizer.scale : 1
            scorer.limit = squaredNormMax
        }
        return scorer
    }

    /// Scores full vectors exactly, with the kernel that suits the query's element type.
    func vectorScorer(
        query: UnsafeRawPointer,
        l2: omen_kernel_pair,
        dot: omen_kernel_pair
    ) -> Scorer {
        let mode: Scorer.Mode =
            switch schema.metric {
            case .l2: .plain
            case .cosine: .cosine
            case .ip: .negated
            }
        return Scorer(
            kernel: schema.metric == .l2 ? l2 : dot,
            query: query,
            base: UnsafeRawPointer(vectors),
            stride: layout.vectorStride,
            dim: layout.vectorDim,
            mode: mode,
            aux: UnsafePointer(aux)
        )
    }
}
