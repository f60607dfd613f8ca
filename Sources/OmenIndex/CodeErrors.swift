/// How far distances of codes were from the distances of the vectors, over the candidates of one
/// search that were scored again.
///
/// Where near rows differ by less than their codes can tell, the true ones are spread over many
/// ranks; how many is seen from the errors, whatever the data.
struct CodeErrors {
    /// Candidates scored again before the next look.
    static let stepCount = 8
    /// Standard deviations by which an error is thought to be below the mean at most.
    private static let deviationCount: Float = 3

    private let unit: Float
    private var count: Float = 0
    private var sum: Float = 0
    private var squares: Float = 0
    /// The first error: sums of differences from it lose no digits.
    private var origin: Float = 0

    /// - Parameter unit: Distance of vectors that a distance of 1 between codes stands for.
    init(unit: Float) { self.unit = unit }

    @inline(__always)
    mutating func add(exact: Float, code: Float) {
        let error = exact - unit * code
        if count == 0 { origin = error }
        count += 1
        sum += error - origin
        squares += (error - origin) * (error - origin)
    }

    /// The least distance that a row whose codes have the distance `code` may have.
    ///
    /// Not a number where distances overflow, which is below nothing.
    @inline(__always)
    func least(code: Float) -> Float {
        let mean = sum / count
        let deviation = max(0, squares / count - mean * mean).squareRoot()
        return unit * code + origin + mean - Self.deviationCount * deviation
    }
}
