/// A filter in the form that metadata is compared with: a tree of names, so that one walk over the
/// metadata answers every condition, and then what the answers amount to.
struct FilterProgram: Sendable {
    /// A place in the metadata that the filter asks for, or that lies on the way to one.
    struct Place: Sendable {
        /// Names behind it, ascending; `places[i]` belongs to `names[i]`.
        var names: [FilterText] = []
        var places: [Int] = []
        /// Conditions on the values that are here.
        var conditions: [Int] = []
        /// Whether one of these asks for dates.
        var wantsDates = false
        /// Whether one of these asks for lists as a whole.
        var wantsLists = false

        /// Where a name leads to; nil if nothing asks for it.
        @inline(__always)
        func place(of name: UnsafeRawBufferPointer) -> Int? {
            var (low, high) = (0, names.count)
            while low < high {
                let middle = (low + high) / 2
                let order = names[middle].order(of: name)
                if order == 0 { return places[middle] }
                if order < 0 { high = middle } else { low = middle + 1 }
            }
            return nil
        }
    }

    struct Condition: Sendable {
        enum Kind: Sendable { case exists, some, contains }
        let kind: Kind
        /// What a value must be; nothing for `exists`.
        let keys: FilterKeys
        let place: Int
    }

    /// What is to be done with the answers, in the order of the tree: a node, then its children.
    struct Step: Sendable {
        enum Kind: Sendable { case all, and, or, not, condition(Int) }
        let kind: Kind
        /// The first step behind this node and its children.
        var end: Int
    }

    /// The first one is the metadata itself.
    private(set) var places = [Place()]
    private(set) var conditions: [Condition] = []
    private(set) var steps: [Step] = []

    init(_ root: FilterNode) { append(root) }

    private mutating func append(_ node: FilterNode) {
        let start = steps.count
        steps.append(Step(kind: kind(of: node), end: 0))
        switch node {
        case .all, .condition: break
        case .and(let nodes), .or(let nodes): for node in nodes { append(node) }
        case .not(let node): append(node)
        }
        steps[start].end = steps.count
    }

    private mutating func kind(of node: FilterNode) -> Step.Kind {
        switch node {
        case .all: return .all
        case .and: return .and
        case .or: return .or
        case .not: return .not
        case .condition(let condition):
            let place = place(of: condition.path)
            switch condition.test {
            case .exists: append(.exists, FilterKeys(), place)
            case .some(let comparisons): append(.some, FilterKeys(comparisons), place)
            case .contains(let operand): append(.contains, FilterKeys([operand]), place)
            }
            return .condition(conditions.count - 1)
        }
    }

    private mutating func append(_ kind: Condition.Kind, _ keys: FilterKeys, _ place: Int) {
        places[place].conditions.append(conditions.count)
        if !keys.dates.isEmpty { places[place].wantsDates = true }
        if !keys.lists.isEmpty { places[place].wantsLists = true }
        conditions.append(Condition(kind: kind, keys: keys, place: place))
    }

    /// The place that a path leads to, made where there is none yet.
    private mutating func place(of path: FilterPath) -> Int {
        var place = 0
        for name in path.names {
            if let next = name.utf8.withUnsafeBytes({ places[place].place(of: $0) }) {
                place = next
                continue
            }
            let at = places[place].names.firstIndex { $0 > name } ?? places[place].names.count
            places[place].names.insert(name, at: at)
            places[place].places.insert(places.count, at: at)
            place = places.count
            places.append(Place())
        }
        return place
    }
}

extension FilterProgram {
    /// Whether the filter is true; see `Filter.matches`.
    func matches(_ metadata: UnsafeRawBufferPointer) throws(OmenError) -> Bool {
        // Does not carry typed throws, so the outcome travels as a value.
        let outcome: Result<Bool, OmenError> = withUnsafeTemporaryAllocation(
            of: Bool.self,
            capacity: conditions.count + places.count
        ) { answers in
            answers.initialize(repeating: false)
            let match = FilterMatch(self, answers)
            do throws(OmenError) {
                if !metadata.isEmpty { try match.walk(metadata) }
                return .success(match.isTrue(0))
            } catch {
                return .failure(OmenError(.corrupt, error.message))
            }
        }
        return try outcome.get()
    }
}
