internal import Glibc

/// A line on stderr that shows how far a long command is; nothing unless stderr is a terminal.
struct Progress {
    private let total: Int
    private let unit: String
    private let isShown = isatty(STDERR_FILENO) == 1
    private let start = ContinuousClock.now
    private var lastShown: ContinuousClock.Instant?
    private var wasWaiting = false

    init(total: Int, unit: String) {
        self.total = total
        self.unit = unit
    }

    /// Shows how far it is.
    ///
    /// - Parameters:
    ///   - done: Of `total`.
    ///   - note: What it waits for, if it does.
    mutating func show(_ done: Int, note: String? = nil) {
        let now = ContinuousClock.now
        // That it begins to wait is shown at once, however short it may be.
        let isNews = note != nil && !wasWaiting
        wasWaiting = note != nil
        guard isShown, isNews || lastShown.map({ now - $0 > .milliseconds(100) }) ?? true
        else { return }
        lastShown = now
        let seconds = (now - start).seconds
        let rate = seconds > 0 ? Int(Double(done) / seconds) : 0
        let share = total > 0 ? Double(done) / Double(total) : 1
        let filled = min(30, Int(share * 30))
        let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: 30 - filled)
        let percent = Int(share * 100)
        Console.put(
            "\r\u{1B}[2K[\(bar)] \(percent)%  \(done)/\(total) \(unit)  \(note ?? "\(rate)/s")",
            on: STDERR_FILENO
        )
    }

    /// Takes the line away; call it before anything else is written.
    func clear() {
        if lastShown != nil { Console.put("\r\u{1B}[2K", on: STDERR_FILENO) }
    }
}

extension Duration {
    var seconds: Double {
        let (whole, attoseconds) = components
        return Double(whole) + Double(attoseconds) * 1e-18
    }
}

/// Seconds that `body` takes, and what it returns.
func timed<Value>(_ body: () throws -> Value) rethrows -> (value: Value, seconds: Double) {
    let start = ContinuousClock.now
    let value = try body()
    return (value, (ContinuousClock.now - start).seconds)
}

/// A number with three digits or so, for people.
func rounded(_ value: Double, digits: Int = 3) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    return "\((value * scale).rounded() / scale)"
}
