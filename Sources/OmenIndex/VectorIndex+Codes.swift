internal import COmenKernels
internal import OmenCore

extension VectorIndex {
    /// Whether codes of their own stand beside the vectors.
    var hasOwnCodes: Bool { schema.element == .f32 && schema.codes == .u8 }
    /// Whether the graph is traversed on approximate codes, so that results need reranking.
    var traversesCodes: Bool { hasOwnCodes && quantizer.kind == .affine }

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
