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

    /// Writes the code of a row, and its bias under ip.
    func encode(_ row: Int) {
        let code = (codes + row * layout.codeStride).assumingMemoryBound(to: UInt8.self)
        let factor = schema.metric == .cosine ? aux[row] : 1
        quantizer.encodedCount += 1
        quantizer.clampedCount += quantizer.encode(
            floats(ofRow: row),
            factor: factor,
            into: code
        )
        if schema.metric == .ip {
            // With x = o + s c: <x, y> = <o, o> + s <o, cx> + s <o, cy> + s^2 <cx, cy>.
            // Divided by s^2, the terms of one row are its bias.
            var bias: Float = 0
            Kernels.best.pointee.dot_f32_u8.scan(
                quantizer.offsets, code, layout.codeStride, layout.codeStride, 1, &bias)
            aux[row] = bias / quantizer.scale
        }
    }

    func floats(ofRow row: Int) -> UnsafePointer<Float> {
        UnsafePointer(
            (vectors + row * layout.vectorStride).assumingMemoryBound(to: Float.self)
        )
    }

    /// Scores rows against rows in the space the graph is built in; aim it before use.
    func rowScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        if traversesCodes {
            return Scorer(
                kernel: schema.metric == .ip ? kernels.dot_u8 : kernels.l2_u8,
                query: UnsafeRawPointer(codes),
                base: UnsafeRawPointer(codes),
                stride: layout.codeStride,
                dim: layout.codeStride,
                mode: schema.metric == .ip ? .biased : .plain,
                aux: UnsafePointer(aux)
            )
        }
        return vectorScorer(
            query: UnsafeRawPointer(vectors),
            l2: schema.element == .f32 ? kernels.l2_f32 : kernels.l2_u8,
            dot: schema.element == .f32 ? kernels.dot_f32 : kernels.dot_u8
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
            aux: UnsafePointer(aux)
        )
    }
}
