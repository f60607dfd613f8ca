/// Where in the JSON text of a filter something stands, as errors tell it: `$.$or[1].size.$gt`.
struct FilterPlace {
    private enum Step {
        case name(String)
        case index(Int)
    }
    private var steps: [Step] = []

    /// How deep it is: objects and lists around it.
    var depth: Int { steps.count }

    mutating func enter(_ name: JSONRawString) {
        steps.append(.name(String(decoding: name.bytes.prefix(40), as: UTF8.self)))
    }

    mutating func enter(_ index: Int) { steps.append(.index(index)) }

    mutating func leave() { steps.removeLast() }

    /// An error that names the place.
    func error(_ message: String) -> OmenError {
        OmenError(.badRequest, "filter: \(self) \(message)")
    }
}

extension FilterPlace: CustomStringConvertible {
    var description: String {
        // What is behind the tenth step is far enough inside to be found.
        let shown = steps.prefix(10).reduce("$") { text, step in
            switch step {
            case .name(let name):
                name.contains(where: { ".[]\" ".contains($0) }) || name.isEmpty
                    ? text + "[\"\(name)\"]" : text + "." + name
            case .index(let index): text + "[\(index)]"
            }
        }
        return steps.count > 10 ? shown + "..." : shown
    }
}
