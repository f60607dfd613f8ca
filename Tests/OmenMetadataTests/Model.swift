import Foundation
import OmenCore

/// A JSON value, as the model of the tests reads it: slowly, and without the product's code.
indirect enum Value {
    case null
    case bool(Bool)
    /// The digits.
    case number(String)
    case string(String)
    case list([Value])
    case object([(String, Value)])

    /// Reads JSON text that is known to be right.
    static func parse(_ text: String) -> Value {
        var rest = Array(text.unicodeScalars)[...]
        return value(&rest)
    }

    private static func skip(_ rest: inout ArraySlice<Unicode.Scalar>) {
        while rest.first == " " { rest.removeFirst() }
    }

    private static func value(_ rest: inout ArraySlice<Unicode.Scalar>) -> Value {
        skip(&rest)
        switch rest.first {
        case "{":
            rest.removeFirst()
            var members: [(String, Value)] = []
            skip(&rest)
            while rest.first != "}" {
                if rest.first == "," { rest.removeFirst() }
                skip(&rest)
                let name = string(&rest)
                skip(&rest)
                rest.removeFirst()
                members.append((name, value(&rest)))
                skip(&rest)
            }
            rest.removeFirst()
            return .object(members)
        case "[":
            rest.removeFirst()
            var elements: [Value] = []
            skip(&rest)
            while rest.first != "]" {
                if rest.first == "," { rest.removeFirst() }
                elements.append(value(&rest))
                skip(&rest)
            }
            rest.removeFirst()
            return .list(elements)
        case "\"": return .string(string(&rest))
        default:
            let end = rest.firstIndex { ",}] ".unicodeScalars.contains($0) } ?? rest.endIndex
            var word = String.UnicodeScalarView()
            word.append(contentsOf: rest[..<end])
            rest = rest[end...]
            switch String(word) {
            case "null": return .null
            case "true": return .bool(true)
            case "false": return .bool(false)
            default: return .number(String(word))
            }
        }
    }

    private static func string(_ rest: inout ArraySlice<Unicode.Scalar>) -> String {
        rest.removeFirst()
        var text = String.UnicodeScalarView()
        while let scalar = rest.popFirst(), scalar != "\"" {
            guard scalar == "\\" else {
                text.append(scalar)
                continue
            }
            // The documents of the tests have only this kind of escape, and the quote.
            guard rest.first == "u" else {
                text.append(rest.removeFirst())
                continue
            }
            let digits = String(String.UnicodeScalarView(rest.dropFirst().prefix(4)))
            rest = rest.dropFirst(5)
            text.append(Unicode.Scalar(UInt32(digits, radix: 16) ?? 0) ?? " ")
        }
        return String(text)
    }
}

/// What a catalog must know, in dictionaries.
struct Model {
    struct Path {
        var exists: Set<UInt32> = []
        var null: Set<UInt32> = []
        var bools: [Bool: Set<UInt32>] = [:]
        var lists: Set<UInt32> = []
        var numbers: [Decimal: Set<UInt32>] = [:]
        var strings: [[UInt8]: Set<UInt32>] = [:]
        var dates: [Int64: Set<UInt32>] = [:]
    }

    /// By the path as it is written.
    var paths: [String: Path] = [:]
    var rowCount = 0

    init(_ texts: [String?]) {
        rowCount = texts.count
        for (row, text) in texts.enumerated() {
            guard let text, case .object(let members) = Value.parse(text) else { continue }
            add(UInt32(row), members, to: [])
        }
    }

    private mutating func add(_ row: UInt32, _ members: [(String, Value)], to names: [String]) {
        for (name, value) in members {
            let names = names + [name]
            let path = Self.written(names)
            paths[path, default: Path()].exists.insert(row)
            if case .list(let elements) = value {
                paths[path, default: Path()].lists.insert(row)
                for element in elements { add(row, element, names, path) }
            } else {
                add(row, value, names, path)
            }
        }
    }

    private mutating func add(_ row: UInt32, _ value: Value, _ names: [String], _ path: String) {
        switch value {
        case .list: break
        case .object(let members): add(row, members, to: names)
        case .null: paths[path, default: Path()].null.insert(row)
        case .bool(let bool): paths[path, default: Path()].bools[bool, default: []].insert(row)
        case .number(let digits):
            paths[path, default: Path()].numbers[Self.decimal(digits), default: []].insert(row)
        case .string(let text):
            paths[path, default: Path()].strings[Array(text.utf8), default: []].insert(row)
            guard let date = Self.dates[text] else { return }
            paths[path, default: Path()].dates[date, default: []].insert(row)
        }
    }

    private static func written(_ names: [String]) -> String {
        names.enumerated().map { index, name in
            let escaped = name.replacingOccurrences(of: "\\", with: "\\\\")
                .replacingOccurrences(of: ".", with: "\\.")
            return index == 0 && name.hasPrefix("$") ? "\\" + escaped : escaped
        }.joined(separator: ".")
    }

    /// Decimals have 38 digits, so all numbers of the tests differ as they should.
    static func decimal(_ digits: String) -> Decimal {
        Decimal(string: digits, locale: Locale(identifier: "en_US_POSIX")) ?? .nan
    }

    /// The strings of the tests that are dates, in microseconds since the year 0 began.
    private static let dates: [String: Int64] = [
        "2026-11-28T19:05:53Z": evening,
        "2026-11-28T20:05:53+01:00": evening,
        "2026-11-28T19:05:53.25Z": evening + 250_000,
    ]

    /// From the year 0 to 1970 there are 719,528 days; the rest is what date(1) says.
    private static let evening: Int64 = (719_528 * 86_400 + 1_795_892_753) * 1_000_000
}
