internal import COmenKernels
internal import OmenCore

extension RowStore {
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
        return scorer(query: query, schema.metric == .l2 ? l2 : dot, mode)
    }

    /// Compares full vectors of rows by the metric; to be aimed at one.
    func exactScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        let isBytes = schema.element == .u8
        return vectorScorer(
            query: vectors,
            l2: isBytes ? kernels.l2_u8 : kernels.l2_f32,
            dot: isBytes ? kernels.dot_u8 : kernels.dot_f32
        )
    }

    /// Compares full vectors of rows by squared distance under any metric; to be aimed at one.
    func squaredScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        return scorer(
            query: vectors,
            schema.element == .u8 ? kernels.l2_u8 : kernels.l2_f32,
            .plain
        )
    }

    /// Compares full vectors of rows by inner product under any metric; to be aimed at one.
    func productScorer() -> Scorer {
        let kernels = Kernels.best.pointee
        return scorer(
            query: vectors,
            schema.element == .u8 ? kernels.dot_u8 : kernels.dot_f32,
            .negated
        )
    }

    private func scorer(
        query: UnsafeRawPointer,
        _ kernel: omen_kernel_pair,
        _ mode: Scorer.Mode
    ) -> Scorer {
        Scorer(
            kernel: kernel,
            query: query,
            base: UnsafeRawPointer(vectors),
            stride: layout.vectorStride,
            dim: layout.vectorDim,
            mode: mode,
            aux: UnsafePointer(norms),
            measuresNearTwice: schema.element == .f32
        )
    }
}
