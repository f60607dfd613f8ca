import Glibc
import Testing

/// The tables of docs/FILTERS.md, whose every line is a test.
struct FilterTables {
    /// One line of a table: what stands in its cells, without the quotes of code.
    struct Row: CustomStringConvertible, Sendable {
        let cells: [String]
        let line: Int
        var description: String { "line \(line): " + cells.joined(separator: " | ") }
    }

    /// The rows of all tables that have this head.
    static func rows(_ head: String) -> [Row] {
        var rows: [Row] = []
        var isInside = false
        for (index, line) in document.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            guard line.hasPrefix("| ") || line.hasPrefix("|-") else {
                isInside = false
                continue
            }
            if line == head {
                isInside = true
            } else if isInside, !line.hasPrefix("|-") {
                let cells = String(line).dropFirst(2).dropLast(2).split(separator: " | ").map {
                    String($0.hasPrefix("`") ? $0.dropFirst().dropLast() : $0)
                }
                rows.append(Row(cells: cells, line: index + 1))
            }
        }
        return rows
    }

    private static let document: String = {
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        guard let file = fopen("/\(root)/docs/FILTERS.md", "r") else {
            preconditionFailure("docs/FILTERS.md is not there")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }()
}
