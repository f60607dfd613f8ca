internal import COmenKernels
internal import OmenCore

/// A query in the forms that searching it needs.
struct PreparedQuery {
    /// Scores full vectors exactly.
    var exact: Scorer
    /// Scores what the graph is traversed on; the same as `exact` unless codes are approximate.
    var traversal: Scorer
}

extension VectorIndex {
    /// Copies a query into scratch memory, padded, in the element type that suits the rows.
    ///
    /// - Throws: `.badRequest` for a zero vector under cosine.
    func prepare(
        _ query: UnsafeRawPointer,
        element: ElementType
    ) throws(OmenError) -> PreparedQuery {
        let kernels = Kernels.best.pointee
        let dim = schema.dim
        let floats = scratch.queryFloats
        let bytes = scratch.queryBytes
        var isWhole = element == .u8
        switch element {
        case .u8:
            UnsafeMutableRawPointer(bytes).copyMemory(from: query, byteCount: dim)
            for i in 0..<dim { floats[i] = Float(bytes[i]) }
        case .f32:
            UnsafeMutableRawPointer(floats).copyMemory(from: query, byteCount: dim * 4)
            if schema.element == .u8 { isWhole = narrow(floats, into: bytes) }
        }
        var exact: Scorer
        if schema.element == .f32 {
            exact = vectorScorer(query: floats, l2: kernels.l2_f32, dot: kernels.dot_f32)
        } else if isWhole {
            exact = vectorScorer(query: bytes, l2: kernels.l2_u8, dot: kernels.dot_u8)
        } else {
            exact = vectorScorer(query: floats, l2: kernels.l2_f32_u8, dot: kernels.dot_f32_u8)
        }
        if schema.metric == .cosine {
            let norm = ElementType.f32.norm(of: floats, dim: dim)
            guard norm > 0 else {
                throw OmenError(.badRequest, "a zero query has no direction for cosine")
            }
            exact.scale = inverse(norm)
        }
        let traversal = traversesCodes ? codeScorer(factor: exact.scale) : exact
        return PreparedQuery(exact: exact, traversal: traversal)
    }

    /// Writes whole numbers 0...255 as bytes.
    ///
    /// - Returns: Whether all of `floats` are such numbers; if not, `bytes` are useless.
    private func narrow(
        _ floats: UnsafePointer<Float>,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        for i in 0..<schema.dim {
            guard let byte = UInt8(exactly: floats[i]) else { return false }
            bytes[i] = byte
        }
        return true
    }

    /// A scorer of codes for the query in `scratch.queryFloats`.
    ///
    /// Ranks like the exact distance, up to rounding of the codes; its scale is another.
    private func codeScorer(factor: Float) -> Scorer {
        let kernels = Kernels.best.pointee
        var scorer = rowScorer()
        if schema.metric == .ip {
            // <q, o> + s <q, cx> ranks like <q, cx>: the query needs no code, whatever its range.
            return Scorer(
                kernel: kernels.dot_f32_u8,
                query: UnsafeRawPointer(scratch.queryFloats),
                base: scorer.base,
                stride: scorer.stride,
                dim: scorer.dim,
                mode: .negated,
                aux: scorer.aux
            )
        }
        let inverseScale = 1 / quantizer.scale
        var excess: Float = 0
        for i in 0..<schema.dim {
            let value = (scratch.queryFloats[i] * factor - quantizer.offsets[i]) * inverseScale
            let inside = min(max(value, 0), 255)
            excess += (value - inside) * (value - inside)
            scratch.codeFloats[i] = value
            scratch.codeBytes[i] = UInt8(inside + 0.5)
        }
        // Beyond the error that rounding makes anyway, a clamped query would rank wrongly.
        if excess <= Float(schema.dim) / 12 {
            scorer.query = UnsafeRawPointer(scratch.codeBytes)
            return scorer
        }
        return Scorer(
            kernel: kernels.l2_f32_u8,
            query: scratch.codeFloats,
            base: scorer.base,
            stride: scorer.stride,
            dim: scorer.dim,
            mode: .plain,
            aux: scorer.aux
        )
    }
}
