internal import COmenKernels
internal import OmenCore

/// The map from f32 vectors to u8 codes: each dimension has an offset, all share one scale.
///
/// code = round((x * factor - offset) / scale), clamped to 0...255, where factor is the inverse
/// norm under cosine and 1 otherwise. One scale keeps squared distances of codes proportional to
/// squared distances of vectors, so the integer kernels rank them directly.
struct Quantizer {
    /// What training decided.
    enum Kind: UInt8 {
        /// Nothing was trained yet.
        case untrained = 0
        /// Codes stand for the vectors.
        case affine = 1
        /// Codes would blur near neighbours together: the graph is traversed on the vectors.
        case unsuitable = 2
    }

    var kind = Kind.untrained
    /// Rows there were when it was trained.
    var trainedRowCount = 0
    /// Rows encoded since.
    var encodedCount = 0
    /// Elements of those rows that were out of range.
    var clampedCount = 0
    var scale: Float = 1
    /// Lower end of each dimension, padded with zeros.
    let offsets: UnsafeMutablePointer<Float>
    private let dim: Int

    /// Rows looked at when training.
    static let sampleCountMax = 2048
    /// Largest squared error of a pair, relative to the squared distance of near neighbours, that
    /// reranking is trusted to repair.
    static let errorMax: Float = 0.05

    init(layout: RowLayout) {
        dim = layout.dim
        offsets = .allocate(capacity: layout.codeStride)
        offsets.initialize(repeating: 0, count: layout.codeStride)
    }

    func deallocate() { offsets.deallocate() }

    /// Whether more data calls for new parameters.
    ///
    /// Often while small, when it costs little; afterwards only when the data left the range:
    /// encoding all rows again stops the world for about 50 ns per 128 dimensions and row.
    func wantsTraining(rowCount: Int) -> Bool {
        if kind == .untrained { return true }
        if trainedRowCount < 16_384 && rowCount >= 4 * trainedRowCount { return true }
        return kind == .affine && encodedCount >= 128
            && rowCount >= trainedRowCount + trainedRowCount / 8
            && clampedCount > encodedCount * dim / 200
    }

    /// Encodes one vector.
    ///
    /// - Returns: How many elements were clamped.
    @inline(__always)
    func encode(
        _ vector: UnsafePointer<Float>,
        factor: Float,
        into code: UnsafeMutablePointer<UInt8>
    ) -> Int {
        Kernels.best.pointee.encode(vector, factor, offsets, 1 / scale, dim, code)
    }

    /// Chooses offsets and scale from a sample, and decides whether codes are fit for it.
    ///
    /// The sample has the shape `[sampleCount][dim]` and is already multiplied by `factor`.
    /// - Complexity: O(sampleCount * dim).
    mutating func train(sample: [Float], rowCount: Int) {
        let sampleCount = sample.count / dim
        precondition(sampleCount > 0, "no sample to train on")
        var widest: Float = 0
        var ranges: [ClosedRange<Float>] = []
        ranges.reserveCapacity(dim)
        for d in 0..<dim {
            let range = Self.range(sample, at: d, dim: dim)
            ranges.append(range)
            widest = max(widest, range.upperBound - range.lowerBound)
        }
        // A little room, so that a new extreme is not clamped at once.
        scale = max(widest * 1.04 / 255, .leastNormalMagnitude)
        for d in 0..<dim {
            let middle = ranges[d].lowerBound / 2 + ranges[d].upperBound / 2
            offsets[d] = middle - 127.5 * scale
        }
        trainedRowCount = rowCount
        encodedCount = 0
        clampedCount = 0
        kind = relativeError(sample) <= Self.errorMax ? .affine : .unsuitable
    }

    /// The range of one dimension without far outliers: thrice cut at six standard deviations.
    private static func range(_ sample: [Float], at d: Int, dim: Int) -> ClosedRange<Float> {
        var low = -Float.infinity
        var high = Float.infinity
        for _ in 0..<3 {
            var count = 0.0
            var sum = 0.0
            var squares = 0.0
            var least = Float.infinity
            var most = -Float.infinity
            var index = d
            while index < sample.count {
                let value = sample[index]
                if value >= low && value <= high {
                    count += 1
                    sum += Double(value)
                    squares += Double(value) * Double(value)
                    least = min(least, value)
                    most = max(most, value)
                }
                index += dim
            }
            guard count > 0 else { break }
            let mean = sum / count
            let deviation = max(0, squares / count - mean * mean).squareRoot()
            low = max(least, Float(mean - 6 * deviation))
            high = min(most, Float(mean + 6 * deviation))
            if low > high { return Float(mean)...Float(mean) }
        }
        return low...high
    }

    /// Median over some rows of |error of a pair|^2 / |pair|^2, each with a near neighbour.
    ///
    /// The error of a pair is the difference of the two rows' rounding errors.
    private func relativeError(_ sample: [Float]) -> Float {
        let sampleCount = min(sample.count / dim, 512)
        guard sampleCount > 8 else { return 0 }
        var errors: [Float] = []
        var distances = [Float](repeating: 0, count: sampleCount)
        sample.withUnsafeBufferPointer { all in
            guard let base = all.baseAddress else { return }
            for query in stride(from: 0, to: sampleCount, by: max(1, sampleCount / 32)) {
                let row = base + query * dim
                Kernels.best.pointee.l2_f32.scan(row, base, dim * 4, dim, sampleCount, &distances)
                // Duplicates say nothing about how finely codes must resolve.
                let others = (0..<sampleCount).filter { distances[$0] > 0 }
                    .sorted { distances[$0] < distances[$1] }
                guard others.count > 4 else { continue }
                let near = others[4]
                errors.append(pairError(row, base + near * dim) / distances[near])
            }
        }
        guard !errors.isEmpty else { return 0 }
        return errors.sorted()[errors.count / 2]
    }

    private func pairError(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) -> Float {
        func residual(_ value: Float, _ d: Int) -> Float {
            let code = min(max(((value - offsets[d]) / scale).rounded(), 0), 255)
            return value - (offsets[d] + scale * code)
        }
        var sum: Float = 0
        for d in 0..<dim {
            let error = residual(a[d], d) - residual(b[d], d)
            sum += error * error
        }
        return sum
    }
}
