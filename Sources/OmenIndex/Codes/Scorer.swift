internal import COmenKernels
internal import OmenCore

/// One query against rows of one array: the kernel, where the rows lie, and what makes a distance
/// of the kernel's number.
///
/// A plain bundle of pointers, valid while the index and the query's bytes stay where they are.
struct Scorer {
    enum Mode: Equatable {
        /// The number is the distance.
        case plain
        /// The distance is minus the number.
        case negated
        /// The distance is 1 - number * aux[row] * scale: cosine with inverse norms.
        case cosine
        /// Rows under ip against each other, by their codes, which are those of unit vectors.
        ///
        /// With the lengths a and b, |x - y|^2 is a * b * number * scale + (a - b)^2, where the
        /// length of a row is aux[termCount * row] and the number a squared distance.
        case lengths(termCount: Int)
        /// The same by inner product: the distance is -2 <x, y> = a * b * (number * scale - 2).
        case products(termCount: Int)
        /// A query against codes of unit vectors under ip: the distance is
        /// aux[termCount * row] * (number * scale + lift), where the first is the row's length.
        case stretched(termCount: Int)
        /// A query against codes: the distance is aux[termCount * row] + number * scale + lift.
        ///
        /// Rounding may make the least of them negative.
        case coded(termCount: Int)
        /// A query against 1-bit codes: the distance is a * weight + b * (number * scale + lift).
        ///
        /// a and b are the row's two numbers in aux. Without a constant of the query, so it only
        /// ranks, and may be negative.
        case bits
    }

    let kernel: omen_kernel_pair
    var query: UnsafeRawPointer
    let base: UnsafeRawPointer
    let stride: Int
    let dim: Int
    let mode: Mode
    var aux: UnsafePointer<Float>
    /// Inverse norm of the query under `.cosine`; squared scale of the codes under `.lengths` and
    /// `.products`; what the query's i8 image was scaled by, with the metric's factor, under
    /// `.coded`, `.stretched` and `.bits`.
    var scale: Float = 1
    /// Length of the query under `.lengths` and `.products`; the query's own part of a distance,
    /// under `.coded` and `.stretched`; its sum, scaled, under `.bits`.
    var lift: Float = 0
    /// Whether near rows, which are floats, are measured once more under `.cosine` by the
    /// difference of the unit vectors: 1 - cos keeps few of their digits.
    var measuresNearTwice = false
    /// What the first of a row's numbers is multiplied by, under `.bits`.
    var weight: Float = 1

    /// Distances of `count` listed rows.
    @inline(__always)
    func score(
        _ rows: UnsafePointer<UInt32>,
        _ count: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        prefetchTerms(rows, count)
        kernel.list(query, base, stride, dim, rows, count, out)
        switch mode {
        case .plain: break
        case .negated: for i in 0..<count { out[i] = -out[i] }
        case .cosine:
            for i in 0..<count { out[i] = cosine(out[i], Int(rows[i])) }
        case .lengths(let terms):
            for i in 0..<count { out[i] = squared(out[i], aux[Int(rows[i]) &* terms]) }
        case .products(let terms):
            for i in 0..<count { out[i] = product(out[i], aux[Int(rows[i]) &* terms]) }
        case .stretched(let terms):
            for i in 0..<count { out[i] = aux[Int(rows[i]) &* terms] * (out[i] * scale + lift) }
        case .coded(let terms):
            for i in 0..<count { out[i] = aux[Int(rows[i]) &* terms] + lift + out[i] * scale }
        case .bits: for i in 0..<count { out[i] = bits(out[i], Int(rows[i])) }
        }
    }

    /// Distances of `count` consecutive rows from `first` on; equal to the bit to `score`.
    @inline(__always)
    func scan(first: Int, _ count: Int, into out: UnsafeMutablePointer<Float>) {
        kernel.scan(query, base + first * stride, stride, dim, count, out)
        switch mode {
        case .plain: break
        case .negated: for i in 0..<count { out[i] = -out[i] }
        case .cosine:
            for i in 0..<count { out[i] = cosine(out[i], first &+ i) }
        case .lengths(let terms):
            for i in 0..<count { out[i] = squared(out[i], aux[(first &+ i) &* terms]) }
        case .products(let terms):
            for i in 0..<count { out[i] = product(out[i], aux[(first &+ i) &* terms]) }
        case .stretched(let terms):
            for i in 0..<count { out[i] = aux[(first &+ i) &* terms] * (out[i] * scale + lift) }
        case .coded(let terms):
            for i in 0..<count { out[i] = aux[(first &+ i) &* terms] + lift + out[i] * scale }
        case .bits: for i in 0..<count { out[i] = bits(out[i], first &+ i) }
        }
    }

    /// Makes `row` of the same array the query.
    @inline(__always)
    mutating func aim(at row: UInt32) {
        query = base + Int(row) * stride
        switch mode {
        case .plain, .negated: break
        case .coded, .stretched, .bits:
            preconditionFailure("codes are no query to codes of their own")
        case .cosine: scale = aux[Int(row)]
        case .lengths(let terms), .products(let terms): lift = aux[Int(row) &* terms]
        }
    }

    /// Asks for the rows' own numbers, which lie apart from their codes.
    @inline(__always)
    private func prefetchTerms(_ rows: UnsafePointer<UInt32>, _ count: Int) {
        let terms: Int
        switch mode {
        case .plain, .negated, .cosine: return
        case .lengths(let termCount), .products(let termCount), .coded(let termCount),
            .stretched(let termCount):
            terms = termCount
        case .bits: terms = 2
        }
        for i in 0..<count { omen_prefetch(aux + Int(rows[i]) &* terms) }
    }

    /// Distances below this are measured once more.
    private static let nearCosine: Float = 1 / 256

    @inline(__always)
    private func cosine(_ number: Float, _ row: Int) -> Float {
        let distance = 1 - number * aux[row] * scale
        guard measuresNearTwice, distance < Self.nearCosine else { return max(0, distance) }
        return omen_unit_distance(
            query.assumingMemoryBound(to: Float.self),
            scale,
            (base + row &* stride).assumingMemoryBound(to: Float.self),
            aux[row],
            dim
        )
    }

    @inline(__always)
    private func bits(_ number: Float, _ row: Int) -> Float {
        aux[2 &* row] * weight + aux[2 &* row &+ 1] * (number * scale + lift)
    }

    @inline(__always)
    private func squared(_ number: Float, _ length: Float) -> Float {
        let difference = length - lift
        return length * lift * (number * scale) + difference * difference
    }

    @inline(__always)
    private func product(_ number: Float, _ length: Float) -> Float {
        length * lift * (number * scale - 2)
    }
}

/// The kernels in use; chosen once.
enum Kernels {
    nonisolated(unsafe) static let best = omen_kernels_best()
}

extension VectorIndex {
    /// Which variant of the distance kernels this processor runs, for the start log.
    package static var kernelName: String { String(cString: Kernels.best.pointee.name) }
}
