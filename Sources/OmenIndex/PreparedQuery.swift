internal import COmenKernels
internal import OmenCore

/// A query in the forms that searching it needs.
struct PreparedQuery {
    /// Scores full vectors exactly.
    var exact: Scorer
    /// Scores what the graph is traversed on; the same as `exact` unless codes are approximate.
    var traversal: Scorer
    /// Scores u8 codes, where what is traversed is coarser.
    var middle: Scorer?
}

extension VectorIndex {
    /// Copies a query into scratch memory, padded, in the element type that suits the rows.
    ///
    /// - Throws: `.badRequest` for a zero vector under cosine.
    func prepare(
        _ query: UnsafeRawPointer,
        element: ElementType,
        _ scratch: Scratch
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
        guard traversesCodes else { return PreparedQuery(exact: exact, traversal: exact) }
        let factor = schema.metric == .cosine ? exact.scale : 1
        return codeScorers(exact, factor: factor, scratch)
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

    /// Scorers of codes for the query in `scratch.queryFloats`, which has an i8 image for them.
    ///
    /// With the image q and the centred code y, |q - y|^2 is |q|^2 + |y|^2 - 2 <q, y>; under ip
    /// <q, y> alone ranks, and the query needs no centring. An image has a scale of its own, so a
    /// query far outside of the codes' range is none worse than another.
    private func codeScorers(
        _ exact: Scorer,
        factor: Float,
        _ scratch: Scratch
    ) -> PreparedQuery {
        let kernels = Kernels.best.pointee
        let isInner = schema.metric == .ip
        let image = kernels.encode_query(
            scratch.queryFloats,
            factor,
            isInner ? nil : UnsafePointer(quantizer.offsets),
            1 / quantizer.scale,
            schema.dim,
            scratch.queryImage
        )
        let sum = Float(image.sum)
        let squares = Float(image.squares) * image.scale * image.scale
        // Of <q, y> in the distance.
        let weight = image.scale * (isInner ? -1 : -2)
        func scorer(_ kernel: omen_kernel_pair, packed isPacked: Bool) -> Scorer {
            let mode: Scorer.Mode =
                schema.codes == .u1 && isPacked
                ? .bits : isInner ? .negated : .coded(termCount: layout.termCount)
            return Scorer(
                kernel: kernel,
                query: UnsafeRawPointer(scratch.queryImage),
                base: UnsafeRawPointer(isPacked ? packed : codes),
                stride: isPacked ? layout.packedStride : layout.codeStride,
                dim: layout.codeStride,
                mode: mode,
                aux: UnsafePointer(terms),
                scale: weight,
                // Codes have their middle at 127.5, and what stands for nibbles at 120.
                lift: squares - (isPacked ? 120 : 127.5) * sum * weight
            )
        }
        // |y|^2 is the second of a row's numbers under u4, and the first under u8 and u1.
        var middle = scorer(kernels.dot_i8_u8, packed: false)
        if schema.codes == .u4 { middle.aux += 1 }
        guard traversesPacked else { return PreparedQuery(exact: exact, traversal: middle) }
        switch schema.codes {
        case .f32, .u8: preconditionFailure("codes \(schema.codes) are not packed")
        case .u4:
            // The kernel's number is 16 times that of the nibbles, and so are codes.
            let nibbles = scorer(kernels.dot_i8_u4, packed: true)
            return PreparedQuery(exact: exact, traversal: nibbles, middle: middle)
        case .u1:
            // A set bit stands for +1 and a clear one for -1: 2 * number - sum.
            var bits = scorer(kernels.dot_i8_u1, packed: true)
            bits.lift = -sum * weight
            bits.scale = 2 * weight
            return PreparedQuery(exact: exact, traversal: bits, middle: middle)
        }
    }
}
