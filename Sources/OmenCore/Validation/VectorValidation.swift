/// Which values pass.
package enum ValueRules: Sendable {
    /// What is accepted now, at every door.
    case accepted
    /// What files may hold: everything that can be applied, also where doors have become stricter
    /// since it was accepted.
    case stored
}

/// Checks and converts vectors that came from outside, so that nothing behind it can fail on them.
package enum VectorValidation {
    /// Largest magnitude of an element: squares of differences summed over 8,192 dimensions stay
    /// finite in 32 bits.
    package static let magnitudeMax: Float = 1e15
    /// At least one element must reach this, unless all are zero: of smaller ones products and
    /// squares of differences would vanish in 32 bits, and with them all distances.
    package static let magnitudeMin: Float = 1e-15

    /// Checks `vectors`, elements of type `element` in shape `[count][dim]`, row by row; `what`
    /// names a row in the error, such as "vector" or "query", and `firstRow` is the number of the
    /// first one.
    ///
    /// - Throws: `.badRequest` naming the row, the element and its value.
    /// - Complexity: O(count·dim).
    package static func check(
        _ vectors: [UInt8],
        element: ElementType,
        dim: Int,
        metric: Metric,
        what: String,
        firstRow: Int = 0,
        rules: ValueRules = .accepted
    ) throws(OmenError) {
        let rowByteCount = dim * element.byteCount
        for row in 0..<vectors.count / rowByteCount {
            let wrong = vectors.withUnsafeBytes { bytes in
                failure(
                    UnsafeRawBufferPointer(rebasing: bytes[(row * rowByteCount)...]),
                    number: firstRow + row,
                    element: element,
                    dim: dim,
                    metric: metric,
                    what: what,
                    rules: rules
                )
            }
            if let wrong { throw wrong }
        }
    }

    /// What is wrong with the row that `bytes` begins with, which errors call `number`.
    ///
    /// - Precondition: `bytes` holds `dim` elements.
    /// - Returns: A `.badRequest` naming the row, the element and its value; nil when it is right.
    /// - Complexity: O(dim).
    @inline(__always)
    package static func failure(
        _ bytes: UnsafeRawBufferPointer,
        number: Int,
        element: ElementType,
        dim: Int,
        metric: Metric,
        what: String,
        rules: ValueRules = .accepted
    ) -> OmenError? {
        let largest = largestMagnitudeBits(bytes, dim: dim, element: element)
        if largest > magnitudeMax.bitPattern {
            let bad = firstBadElement(bytes, dim: dim)
            return OmenError(
                .badRequest,
                "\(what) \(number) element \(bad.index) is \(bad.value), expected a finite number of magnitude at most \(magnitudeMax)"
            )
        }
        guard largest < magnitudeMin.bitPattern else { return nil }
        guard largest > 0 else {
            guard metric == .cosine else { return nil }
            return OmenError(
                .badRequest,
                "\(what) \(number) is zero, which has no direction for metric cosine"
            )
        }
        guard rules == .accepted else { return nil }
        let (index, value) = largestElement(bytes, dim: dim)
        return OmenError(
            .badRequest,
            "\(what) \(number) is nearly zero: its largest element \(index) is \(value), expected a magnitude of at least \(magnitudeMin), or zeros only"
        )
    }

    /// Bits of the largest |element|; bit patterns of non-negative floats order as the floats do,
    /// with infinities and NaNs above all finite values.
    ///
    /// Several elements at once: every vector that comes in is looked at two or three times.
    @inline(__always)
    private static func largestMagnitudeBits(
        _ bytes: UnsafeRawBufferPointer,
        dim: Int,
        element: ElementType
    ) -> UInt32 {
        guard let base = bytes.baseAddress else { return 0 }
        var index = 0
        switch element {
        case .f32:
            var largest = SIMD8<Int32>.zero
            while index + 8 <= dim {
                let next = (base + index * 4).loadUnaligned(as: SIMD8<Int32>.self)
                let bits = next & SIMD8(repeating: .max)
                largest.replace(with: bits, where: bits .> largest)
                index += 8
            }
            var most = largest.max()
            while index < dim {
                most = max(most, (base + index * 4).loadUnaligned(as: Int32.self) & .max)
                index += 1
            }
            return UInt32(bitPattern: most)
        case .u8:
            var largest = SIMD16<UInt8>.zero
            while index + 16 <= dim {
                let next = (base + index).loadUnaligned(as: SIMD16<UInt8>.self)
                largest.replace(with: next, where: next .> largest)
                index += 16
            }
            var most = largest.max()
            while index < dim {
                most = max(most, bytes[index])
                index += 1
            }
            return Float(most).bitPattern
        }
    }

    /// The first element of the largest magnitude, of finite f32.
    private static func largestElement(
        _ bytes: UnsafeRawBufferPointer,
        dim: Int
    ) -> (index: Int, value: Float) {
        var largest: (index: Int, value: Float) = (0, 0)
        for index in 0..<dim {
            let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            if value.magnitude > largest.value.magnitude { largest = (index, value) }
        }
        return largest
    }

    private static func firstBadElement(
        _ bytes: UnsafeRawBufferPointer,
        dim: Int
    ) -> (index: Int, value: Float) {
        for index in 0..<dim {
            let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            if !(value.magnitude <= magnitudeMax) { return (index, value) }
        }
        return (0, .nan)
    }
}
