import OmenCore
import OmenMetadata

/// A catalog of texts, one for each row; rows of nil have none.
func catalog(_ texts: [String?]) throws(OmenError) -> MetadataCatalog {
    try MetadataCatalog(image(texts))
}

/// The bytes of such a catalog.
func image(_ texts: [String?]) throws(OmenError) -> CatalogImage {
    let builder = CatalogBuilder()
    for (row, text) in texts.enumerated() {
        guard let text else { continue }
        let utf8 = Array(text.utf8)
        try utf8.withUnsafeBufferPointer { (utf8) throws(OmenError) in
            try builder.append(UInt32(row), metadata: UnsafeRawBufferPointer(utf8))
        }
    }
    return try builder.finish(rowCount: texts.count) {}
}

/// A path as filters write it.
func path(_ text: String) throws(OmenError) -> FilterPath { try FilterPath(Array(text.utf8)) }

/// A number as JSON text writes it.
func number(_ text: String) -> JSONNumber {
    Array(text.utf8).withUnsafeBytes { JSONNumber($0) } ?? JSONNumber(0)
}

/// A value of a filter.
func value(_ text: String) -> FilterValue { .string(FilterText(Array(text.utf8))) }

extension MetadataCatalog {
    /// A path that is indexed; nil for others.
    func indexed(_ text: String) throws(OmenError) -> CatalogPath? {
        guard case .indexed(let path) = self[try path(text)] else { return nil }
        return path
    }

    /// The rows with a value at a path; none where the path is absent.
    func rows(_ text: String, _ value: FilterValue) throws(OmenError) -> [UInt32] {
        try indexed(text)?.rows(equalTo: value).rows().rows ?? []
    }
}

/// Makes documents of all shapes, seeded.
struct DocumentMaker {
    var random: SplitMix64

    private static let names = ["a", "b", "tags", "n.x", "", "a b", "\\u0000", "é", "o"]
    private static let numbers = [
        "0", "1", "1.0", "-1", "2.5", "9007199254740992", "9007199254740993",
        "9223372036854775807", "-9223372036854775808", "-9223372036854775807",
        "18446744073709551615", "18446744073709551614", "1e100", "-0.0", "1e2", "100",
    ]
    private static let strings = [
        "", "x", "xy", "xyz", "red", "green", "blue", "re\\u0064", "\\u0000", "é", "日本",
        "2026-11-28T19:05:53Z", "2026-11-28T20:05:53+01:00", "2026-11-28T19:05:53.25Z",
        "2026-02-30T00:00:00Z", "2026-11-28",
    ]

    mutating func document() -> String { object(depth: 0) }

    private mutating func object(depth: Int) -> String {
        var names: Set<String> = []
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            names.insert(Self.names.randomElement(using: &random) ?? "")
        }
        // The order of a set differs from run to run.
        let members = names.sorted().map { "\"\($0)\": \(value(depth: depth + 1))" }
        return "{\(members.joined(separator: ", "))}"
    }

    private mutating func value(depth: Int) -> String {
        switch Int.random(in: 0..<(depth > 3 ? 7 : 10), using: &random) {
        case 0: return "null"
        case 1: return "true"
        case 2: return "false"
        case 3, 4: return Self.numbers.randomElement(using: &random) ?? ""
        case 5: return "\(Int.random(in: 0..<50, using: &random))"
        case 6: return "\"\(Self.strings.randomElement(using: &random) ?? "")\""
        case 7: return object(depth: depth)
        default:
            let count = Int.random(in: 0...3, using: &random)
            return "[\((0..<count).map { _ in value(depth: depth + 1) }.joined(separator: ","))]"
        }
    }
}
