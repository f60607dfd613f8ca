internal import OmenCore

/// Command-line options `--name value`, and flags `--name`.
struct Options {
    private var values: [String: String] = [:]
    /// Options without a value.
    private static let flags: Set<String> = ["--bulk"]

    init(_ arguments: some Sequence<String>) throws {
        var iterator = arguments.makeIterator()
        while let name = iterator.next() {
            if Self.flags.contains(name) {
                values[String(name.dropFirst(2))] = ""
                continue
            }
            guard name.hasPrefix("--"), let value = iterator.next() else {
                throw Failure("expected --option value, found \(name)")
            }
            values[String(name.dropFirst(2))] = value
        }
    }

    func flag(_ name: String) -> Bool { values[name] != nil }

    func path(_ name: String) throws -> String {
        guard let value = values[name] else { throw Failure("--\(name) is missing") }
        return value
    }

    func optional(_ name: String) -> String? { values[name] }

    func integer(_ name: String, standard: Int) throws -> Int {
        guard let value = values[name] else { return standard }
        guard let number = Int(value) else { throw Failure("--\(name) \(value) is no number") }
        return number
    }

    func integers(_ name: String, standard: [Int]) throws -> [Int] {
        guard let value = values[name] else { return standard }
        return try value.split(separator: ",").map {
            guard let number = Int($0) else { throw Failure("--\(name) \(value)") }
            return number
        }
    }

    func choice<Value: CaseIterable>(_ name: String, standard: Value) throws -> Value {
        guard let value = values[name] else { return standard }
        guard let found = Value.allCases.first(where: { "\($0)" == value }) else {
            throw Failure("--\(name) \(value), expected one of \(Array(Value.allCases))")
        }
        return found
    }
}
