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
            let factor = codeFactor(row)
            for d in 0..<schema.dim { sample.append(vector[d] * factor) }
        }
        let old = quantizer
        quantizer.train(sample: sample, rowCount: rowCount)
        convertStrangerLimit(from: old)
        guard quantizer.kind == .affine else { return }
        for row in 0..<linkedCount { encode(row) }
        packedCount = 0
    }

    /// Expresses the limit for strangers, which was measured with an older quantizer, in the units
    /// of the new one: under l2 these are squared steps of codes.
    private func convertStrangerLimit(from old: Quantizer) {
        guard schema.metric == .l2 else { return }
        guard old.kind == quantizer.kind else {
            settings.strangerLimit = .infinity
            return
        }
        guard quantizer.kind == .affine else { return }
        let ratio = old.scale / quantizer.scale
        settings.strangerLimit *= ratio * ratio
    }

    /// Derives what searching needs from the codes of rows that were linked since the last call;
    /// whatever links rows ends with it.
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
            let length = isInner ? length(row) : 1
            switch schema.codes {
            case .f32: break
            case .u8: numbers[0] = isInner ? length : sums.squares
            case .u4:
                if traversesPacked { kernels.pack_u4(code, layout.codeStride, target) }
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
        quantizer.clampedCount += writeCode(row)
    }

    /// Writes the code of a row.
    ///
    /// - Returns: How many elements were clamped.
    func writeCode(_ row: Int) -> Int {
        let code = (codes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
        // Linking compares codes by their lengths already.
        if schema.metric == .ip { terms[row * layout.termCount] = length(row) }
        return quantizer.encode(floats(ofRow: row), factor: codeFactor(row), into: code)
    }

    /// The Euclidean norm of a row; only under ip.
    func length(_ row: Int) -> Float { aux[row].squareRoot() }

    /// What the elements of a row are multiplied by before they are encoded.
    private func codeFactor(_ row: Int) -> Float {
        switch schema.metric {
        case .l2: return 1
        case .cosine: return aux[row]
        case .ip:
            let length = length(row)
            // A row without a direction has any code: its length makes its products zero.
            return length > 0 ? inverse(Double(length)) : 0
        }
    }

    func floats(ofRow row: Int) -> UnsafePointer<Float> {
        UnsafePointer(
            (vectors + row * layout.vectorStride).assumingMemoryBound(to: Float.self)
        )
    }

    /// Scores rows against rows by squared distance, in which the graph is built; aim it before
    /// use.
    func rowScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        let onCodes = traversesCodes
        let onFloats = schema.element == .f32 && !onCodes
        let dot = onFloats ? kernels.dot_f32 : kernels.dot_u8
        let l2 = onFloats ? kernels.l2_f32 : kernels.l2_u8
        // Codes under cosine are those of normalised vectors, which rank by squared distance.
        if schema.metric == .cosine, !onCodes { return traversedScorer(dot, .cosine) }
        guard schema.metric == .ip, onCodes else { return traversedScorer(l2, .plain) }
        var scorer = traversedScorer(l2, .lengths(termCount: layout.termCount))
        scorer.scale = quantizer.scale * quantizer.scale
        return scorer
    }

    /// Scores rows against rows under ip by inner product; aim it before use.
    ///
    /// Distances are negative products, or twice these: they rank.
    func productScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        guard traversesCodes else {
            let dot = schema.element == .f32 ? kernels.dot_f32 : kernels.dot_u8
            return traversedScorer(dot, .negated)
        }
        var scorer = traversedScorer(kernels.l2_u8, .products(termCount: layout.termCount))
        scorer.scale = quantizer.scale * quantizer.scale
        return scorer
    }

    /// A scorer of what the graph is built on.
    private func traversedScorer(_ kernel: omen_kernel_pair, _ mode: Scorer.Mode) -> Scorer {
        let base = UnsafeRawPointer(traversesCodes ? codes : vectors)
        return Scorer(
            kernel: kernel,
            query: base,
            base: base,
            stride: traversesCodes ? layout.codeStride : layout.vectorStride,
            dim: traversesCodes ? layout.codeStride : layout.vectorDim,
            mode: mode,
            aux: UnsafePointer(traversesCodes && schema.metric == .ip ? terms : aux)
        )
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
            aux: UnsafePointer(aux),
            measuresNearTwice: schema.element == .f32
        )
    }
}
