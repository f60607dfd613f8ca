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
    /// Distance of vectors that a distance of 1 between u8 codes stands for.
    var codeUnit: Float = 1
}

extension CodeStore {
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
            exact = rows.vectorScorer(query: floats, l2: kernels.l2_f32, dot: kernels.dot_f32)
        } else if isWhole {
            exact = rows.vectorScorer(query: bytes, l2: kernels.l2_u8, dot: kernels.dot_u8)
        } else {
            exact = rows.vectorScorer(query: floats, l2: kernels.l2_f32_u8, dot: kernels.dot_f32_u8)
        }
        if schema.metric == .cosine {
            let norm = ElementType.f32.norm(of: floats, dim: dim)
            guard norm > 0 else {
                throw OmenError(.badRequest, "a zero query has no direction for cosine")
            }
            exact.scale = inverse(norm)
        }
        guard areTraversed else { return PreparedQuery(exact: exact, traversal: exact) }
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
    /// With the image q and the centred code y, |q - y|^2 is |q|^2 + |y|^2 - 2 <q, y>. Under ip the
    /// query needs no centring: with the middle m of all codes, the product with a row is its
    /// length times <q, m> + <q, y>. An image has a scale of its own, so a query far outside of the
    /// codes' range is none worse than another.
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
        let weight: Float = image.scale * (isInner ? -quantizer.scale : -2)
        // The query's own part of it.
        let own: Float = isInner ? -middleProduct(scratch) : squares
        func scorer(_ kernel: omen_kernel_pair, packed isPacked: Bool) -> Scorer {
            let termCount = layout.termCount
            let whole: Scorer.Mode =
                isInner ? .stretched(termCount: termCount) : .coded(termCount: termCount)
            let mode: Scorer.Mode = schema.codes == .u1 && isPacked ? .bits : whole
            return Scorer(
                kernel: kernel,
                query: UnsafeRawPointer(scratch.queryImage),
                base: UnsafeRawPointer(isPacked ? packed : bytes),
                stride: isPacked ? layout.packedStride : layout.codeStride,
                dim: layout.codeStride,
                mode: mode,
                aux: UnsafePointer(terms),
                scale: weight,
                // Codes have their middle at 127.5, and what stands for nibbles at 120.
                lift: own - (isPacked ? 120 : 127.5) * sum * weight
            )
        }
        // |y|^2 is the second of a row's numbers under u4, and the first under u8 and u1.
        var middle = scorer(kernels.dot_i8_u8, packed: false)
        if schema.codes == .u4 { middle.aux += 1 }
        var prepared = PreparedQuery(exact: exact, traversal: middle, codeUnit: codeUnit)
        guard arePackedTraversed else { return prepared }
        prepared.middle = middle
        switch schema.codes {
        case .f32, .u8: preconditionFailure("codes \(schema.codes) are not packed")
        // The kernel's number is 16 times that of the nibbles, and so are codes.
        case .u4: prepared.traversal = scorer(kernels.dot_i8_u4, packed: true)
        case .u1:
            // A set bit stands for +1 and a clear one for -1: 2 * number - sum.
            var bits = scorer(kernels.dot_i8_u1, packed: true)
            bits.lift = -sum * weight
            bits.scale = 2 * weight
            if isInner { bits.weight = own }
            prepared.traversal = bits
        }
        return prepared
    }

    /// Distance of vectors that a distance of 1 between u8 codes stands for.
    private var codeUnit: Float {
        switch schema.metric {
        case .l2: quantizer.scale * quantizer.scale
        // 1 - cos is half the squared distance of normalised vectors.
        case .cosine: quantizer.scale * quantizer.scale / 2
        // Lengths and scale are part of these already.
        case .ip: 1
        }
    }

    /// The inner product of the query in `scratch.queryFloats` and the middle of all codes.
    private func middleProduct(_ scratch: Scratch) -> Float {
        var product: Float = 0
        Kernels.best.pointee.dot_f32.scan(
            scratch.queryFloats,
            quantizer.middles,
            layout.codeStride * MemoryLayout<Float>.stride,
            layout.codeStride,
            1,
            &product
        )
        return product
    }
}
