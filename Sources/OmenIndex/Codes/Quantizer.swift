internal import COmenKernels
internal import OmenCore

/// The map from f32 vectors to u8 codes: each dimension has an offset, all share one scale.
///
/// code = round((x * factor - offset) / scale), clamped to 0...255, where factor is the inverse
/// norm under cosine and ip, and 1 under l2. One scale keeps squared distances of codes
/// proportional to squared distances of vectors, so the integer kernels rank them directly.
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
    /// Whether the high nibbles alone would blur near neighbours, so that u4 traverses u8 codes.
    var blursNibbles = false
    /// Lower end of each dimension, padded with zeros.
    let offsets: UnsafeMutablePointer<Float>
    /// What the middle of the codes stands for in each dimension, padded with zeros.
    let middles: UnsafeMutablePointer<Float>
    private let dim: Int
    /// Whether the middle of the codes is the mean, so that a code's highest bit says most.
    private let isCentred: Bool

    /// Rows looked at when training.
    static let sampleCountMax = 2048
    /// How often far outliers are cut off the range of a dimension.
    static let cutCount = 3
    /// Largest squared error of a pair, relative to the squared distance of near neighbours, that
    /// reranking is trusted to repair.
    static let errorMax: Float = 0.05
    /// Squared error of a pair, relative to its squared distance, beyond which codes do not tell
    /// which of two near neighbours is nearer.
    static let blurErrorMax: Float = 0.25
    /// Part of the rows whose near neighbours codes may blur.
    ///
    /// Where rows lie far denser in some regions than in others (positions along tracks, say), the
    /// usual row is told well, and searches in the dense regions find nothing.
    static let blurShareMax: Float = 0.1
    /// The same of high nibbles, whose order the u8 codes repair over the whole candidate list.
    static let nibbleErrorMax: Float = 0.25

    init(layout: RowLayout) {
        dim = layout.dim
        isCentred = layout.packedStride > 0
        offsets = .allocate(capacity: layout.codeStride)
        offsets.initialize(repeating: 0, count: layout.codeStride)
        middles = .allocate(capacity: layout.codeStride)
        middles.initialize(repeating: 0, count: layout.codeStride)
    }

    func deallocate() {
        offsets.deallocate()
        middles.deallocate()
    }

    /// Sets the lower ends of all dimensions; `scale` is known.
    func setOffsets(_ offset: (Int) -> Float) {
        for d in 0..<dim {
            offsets[d] = offset(d)
            middles[d] = offsets[d] + 127.5 * scale
        }
    }

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
    /// Codes cover what lies near the mean, or everything where that alone is fit: of vectors that
    /// are zero almost everywhere, the few other elements are what tells them apart.
    /// - Parameters:
    ///   - sample: Vectors that are already multiplied by `factor`, shape `[sampleCount][dim]`.
    ///   - pairs: Rows and one of the nearest neighbours of each among all rows, multiplied
    ///     likewise; shape `[pairCount][2][dim]`.
    ///   - rowCount: Rows that there are.
    /// - Complexity: O(sampleCount * dim).
    mutating func train(sample: [Float], pairs: [Float], rowCount: Int) {
        precondition(sample.count >= dim, "no sample to train on")
        trainedRowCount = rowCount
        encodedCount = 0
        clampedCount = 0
        let isFit = [Self.cutCount, 0].contains { cover(sample, pairs, cutCount: $0) }
        kind = isFit ? .affine : .unsuitable
        blursNibbles = relativeError(sample, step: 16) > Self.nibbleErrorMax
    }

    /// Chooses offsets and scale for the range that `cutCount` rounds of cutting outliers leave.
    ///
    /// - Returns: Whether codes resolve near neighbours of the sample then.
    private mutating func cover(_ sample: [Float], _ pairs: [Float], cutCount: Int) -> Bool {
        var widest: Float = 0
        // The middle of each dimension, until the scale is known.
        for d in 0..<dim {
            let (range, mean) = Self.range(sample, at: d, dim: dim, cutCount: cutCount)
            let middle = isCentred ? mean : range.lowerBound / 2 + range.upperBound / 2
            offsets[d] = middle
            widest = max(widest, 2 * max(range.upperBound - middle, middle - range.lowerBound))
        }
        // A little room, so that a new extreme is not clamped at once.
        scale = max(widest * 1.04 / 255, .leastNormalMagnitude)
        setOffsets { offsets[$0] - 127.5 * scale }
        // Distances of codes are multiples of the square, which must not vanish.
        return scale * scale >= Float.leastNormalMagnitude
            && relativeError(sample, step: 1) <= Self.errorMax
            && blurredShare(pairs) <= Self.blurShareMax
    }

    /// The part of some pairs of near neighbours that codes blur together.
    private func blurredShare(_ pairs: [Float]) -> Float {
        let pairCount = pairs.count / (2 * dim)
        guard pairCount > 0 else { return 0 }
        let blurredCount = pairs.withUnsafeBufferPointer { all in
            guard let base = all.baseAddress else { return 0 }
            return (0..<pairCount).count { pair in
                let (a, b) = (base + 2 * pair * dim, base + (2 * pair + 1) * dim)
                var distance: Float = 0
                for d in 0..<dim { distance += (a[d] - b[d]) * (a[d] - b[d]) }
                return pairError(a, b, step: 1) > Self.blurErrorMax * distance
            }
        }
        return Float(blurredCount) / Float(pairCount)
    }

    /// The range of one dimension after `cutCount` rounds that cut what lies beyond six standard
    /// deviations from the mean, and the mean of the rest.
    private static func range(
        _ sample: [Float],
        at d: Int,
        dim: Int,
        cutCount: Int
    ) -> (ClosedRange<Float>, mean: Float) {
        var low = -Float.infinity
        var high = Float.infinity
        var middle: Float = 0
        for _ in 0..<max(1, cutCount) {
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
            middle = Float(mean)
            let reach = cutCount > 0 ? 6 * deviation : .infinity
            low = max(least, Float(mean - reach))
            high = min(most, Float(mean + reach))
            // Also when either is not a number.
            guard low <= high else { return (middle...middle, middle) }
        }
        return (low...high, middle)
    }

    /// Median over some rows of |error of a pair|^2 / |pair|^2, each with a near neighbour.
    ///
    /// The error of a pair is the difference of the two rows' rounding errors; codes are in steps
    /// of `step`.
    private func relativeError(_ sample: [Float], step: Float) -> Float {
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
                errors.append(
                    pairError(row, base + near * dim, step: step) / distances[near]
                )
            }
        }
        guard !errors.isEmpty else { return 0 }
        return errors.sorted()[errors.count / 2]
    }

    private func pairError(
        _ a: UnsafePointer<Float>,
        _ b: UnsafePointer<Float>,
        step: Float
    ) -> Float {
        func residual(_ value: Float, _ d: Int) -> Float {
            let fine = min(max(((value - offsets[d]) / scale).rounded(), 0), 255)
            let code = (fine / step).rounded(.down) * step + (step - 1) / 2
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
