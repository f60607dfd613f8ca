/// How far distances of codes were from the distances of the vectors, over the candidates of one
/// search that were scored again.
///
/// Where near rows differ by less than their codes can tell, the true ones are spread over many
/// ranks; how many is seen from the errors, whatever the data.
struct CodeErrors {
    /// Candidates scored again before the next look.
    static let stepCount = 8
    /// Standard deviations by which an error is thought to be below the mean at most.
    private static let deviationCount = 3.0

    private let unit: Double
    private var count = 0.0
    private var sum = 0.0
    // Squares of distances leave the range of a Float.
    private var squares = 0.0

    /// - Parameter unit: Distance of vectors that a distance of 1 between codes stands for.
    init(unit: Float) { self.unit = Double(unit) }

    @inline(__always)
    mutating func add(exact: Float, code: Float) {
        let error = Double(exact) - unit * Double(code)
        count += 1
        sum += error
        squares += error * error
    }

    /// The least distance that a row whose codes have the distance `code` may have; not a number
    /// where distances overflow.
    @inline(__always)
    func least(code: Float) -> Double {
        let mean = sum / count
        let deviation = max(0, squares / count - mean * mean).squareRoot()
        return unit * Double(code) + mean - Self.deviationCount * deviation
    }
}
