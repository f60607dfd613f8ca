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
        /// Rows under ip against each other, lifted to one length by an extra dimension.
        ///
        /// The distance is number * scale + (lift(aux[row]) - lift of the query)^2, where the
        /// number is a squared distance, aux a squared norm, and lift(n) = sqrt(limit - n).
        case lifted
        /// A query against codes: the distance is aux[termCount * row] + number * scale + lift.
        ///
        /// Rounding may make the least of them negative.
        case coded(termCount: Int)
        /// A query against 1-bit codes: the distance is a + b * (number * scale + lift).
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
    /// Inverse norm of the query under `.cosine`; squared scale of the codes under `.lifted`; what
    /// the query's i8 image was scaled by, with the metric's factor, under `.coded` and `.bits`.
    var scale: Float = 1
    /// Largest squared norm, under `.lifted`.
    var limit: Float = 0
    /// Extra dimension of the query, under `.lifted`; the query's own
    /// part of a distance, under `.coded`; its sum, scaled, under `.bits`.
    var lift: Float = 0

    /// Whether a constant is left out of all distances.
    var onlyRanks: Bool {
        switch mode {
        case .plain, .negated, .cosine, .lifted: false
        case .coded, .bits: true
        }
    }

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
            for i in 0..<count { out[i] = max(0, 1 - out[i] * aux[Int(rows[i])] * scale) }
        case .lifted: for i in 0..<count { out[i] = lifted(out[i], Int(rows[i])) }
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
            for i in 0..<count { out[i] = max(0, 1 - out[i] * aux[first + i] * scale) }
        case .lifted: for i in 0..<count { out[i] = lifted(out[i], first + i) }
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
        case .coded, .bits: preconditionFailure("codes are no query to codes of their own")
        case .cosine: scale = aux[Int(row)]
        case .lifted: lift = lift(of: Int(row))
        }
    }

    /// Asks for the rows' own numbers, which lie apart from their codes.
    @inline(__always)
    private func prefetchTerms(_ rows: UnsafePointer<UInt32>, _ count: Int) {
        let terms: Int
        switch mode {
        case .plain, .negated, .cosine, .lifted: return
        case .coded(let termCount): terms = termCount
        case .bits: terms = 2
        }
        for i in 0..<count { omen_prefetch(aux + Int(rows[i]) &* terms) }
    }

    @inline(__always)
    private func bits(_ number: Float, _ row: Int) -> Float {
        aux[2 &* row] + aux[2 &* row &+ 1] * (number * scale + lift)
    }

    @inline(__always)
    private func lift(of row: Int) -> Float { max(0, limit - aux[row]).squareRoot() }

    @inline(__always)
    private func lifted(_ number: Float, _ row: Int) -> Float {
        let difference = lift(of: row) - lift
        return number * scale + difference * difference
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
