internal import Glibc
internal import OmenCore

/// A line for the user; standard output belongs to the JSON.
func tell(_ text: String) {
    var line = text + "\n"
    _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Command-line options `--name value`.
struct Options {
    private var values: [String: String] = [:]

    init(_ arguments: some Sequence<String>) throws {
        var iterator = arguments.makeIterator()
        while let name = iterator.next() {
            guard name.hasPrefix("--"), let value = iterator.next() else {
                throw Failure("expected --option value, found \(name)")
            }
            values[String(name.dropFirst(2))] = value
        }
    }

    func path(_ name: String) throws -> String {
        guard let value = values[name] else { throw Failure("--\(name) is missing") }
        return value
    }

    func optional(_ name: String) -> String? { values[name] }

    func text(_ name: String, standard: String) -> String { values[name] ?? standard }

    func number(_ name: String, standard: Double) throws -> Double {
        guard let value = values[name] else { return standard }
        guard let number = Double(value) else { throw Failure("--\(name) \(value) is no number") }
        return number
    }

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
