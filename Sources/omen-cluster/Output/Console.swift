internal import OmenCore
internal import Glibc

/// The two streams: data on stdout, everything else on stderr.
enum Console {
    static func out(_ text: String) { put(text + "\n", on: STDOUT_FILENO) }

    static func out(_ json: JSON) { out(json.text) }

    /// A message that is no error.
    static func note(_ text: String) { put(text + "\n", on: STDERR_FILENO) }

    static func warning(_ text: String) {
        put(
            "omen-cluster: \(painted("warning", .yellow, on: STDERR_FILENO)): \(text)\n",
            on: STDERR_FILENO
        )
    }

    static func error(_ text: String) {
        put(
            "omen-cluster: \(painted("error", .red, on: STDERR_FILENO)): \(text)\n",
            on: STDERR_FILENO
        )
    }

    enum Color: Int {
        case red = 31
        case green = 32
        case yellow = 33
    }

    /// The text in a colour, where the stream is a terminal and the user has nothing against it
    /// (no-color.org).
    static func painted(_ text: String, _ color: Color, on stream: Int32 = STDOUT_FILENO) -> String
    {
        let isUnwanted = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
        guard isatty(stream) == 1, !isUnwanted else { return text }
        return "\u{1B}[\(color.rawValue)m\(text)\u{1B}[0m"
    }

    /// Writes all of it; a reader that went away ends us by SIGPIPE, as it ends every filter.
    static func put(_ text: String, on stream: Int32) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(stream, buffer.baseAddress.map { $0 + done }, buffer.count - done)
            }
            if count < 0, errno != EINTR { return }
            done += max(count, 0)
        }
    }
}

/// Columns of text, as wide as their widest cell; numbers are aligned at the right.
struct TextTable {
    private var rows: [[String]]
    private let isNumber: [Bool]

    /// A column whose title ends with `#` holds numbers; the sign is not shown.
    init(_ titles: [String]) {
        isNumber = titles.map { $0.hasSuffix("#") }
        rows = [titles.map { $0.hasSuffix("#") ? String($0.dropLast()) : $0 }]
    }

    mutating func append(_ row: [String]) { rows.append(row) }

    var text: String {
        let widths = isNumber.indices.map { column in
            rows.map { visibleCount($0[column]) }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.indices.map { column in
                let space = String(
                    repeating: " ",
                    count: widths[column] - visibleCount(row[column])
                )
                return isNumber[column] ? space + row[column] : row[column] + space
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }

    /// Characters without the sequences that colour them.
    private func visibleCount(_ cell: String) -> Int {
        var count = 0
        var isInSequence = false
        for character in cell {
            if character == "\u{1B}" { isInSequence = true }
            if !isInSequence { count += 1 }
            if isInSequence, character == "m" { isInSequence = false }
        }
        return count
    }
}
