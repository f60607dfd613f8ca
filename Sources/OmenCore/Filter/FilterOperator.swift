/// The operators of both text forms.
package enum FilterOperator: String, CaseIterable, Sendable {
    case equal = "$eq"
    case notEqual = "$ne"
    case above = "$gt"
    case aboveOrEqual = "$gte"
    case below = "$lt"
    case belowOrEqual = "$lte"
    case oneOf = "$in"
    case noneOf = "$nin"
    case exists = "$exists"
    case contains = "$contains"
    case all = "$all"
    case prefix = "$prefix"

    /// Operators that filters elsewhere have, and ours do not have yet.
    static let unsupported: Set<String> = [
        "$regex", "$options", "$like", "$ilike", "$elemMatch", "$size", "$type", "$mod", "$where",
        "$expr", "$text", "$near", "$geoWithin", "$geoIntersects", "$geoRadius", "$geoBox",
        "$geoPolygon",
    ]

    /// What the operator must be given, for errors.
    var expected: String {
        switch self {
        case .equal, .notEqual, .contains: "a value or a list of values without dates"
        case .above, .aboveOrEqual, .below, .belowOrEqual: "a number, a string or a date"
        case .oneOf, .noneOf, .all: "a list"
        case .prefix: "a string"
        case .exists: "true or false"
        }
    }
}

/// What stands behind an operator, before it is known to fit.
enum GivenOperand {
    case value(FilterValue)
    case list([FilterOperand])

    /// As what is compared with: nil for a list that has lists or dates in it.
    var operand: FilterOperand? {
        switch self {
        case .value(let value): return .value(value)
        case .list(let elements):
            var values: [FilterValue] = []
            values.reserveCapacity(elements.count)
            for element in elements {
                switch element {
                case .value(.date), .list: return nil
                case .value(let value): values.append(value)
                }
            }
            return .list(values)
        }
    }

    /// For errors: what it is, and its value, cut off where it is long.
    var shown: String {
        switch self {
        case .value(.null): "null"
        case .value(.bool(let value)): "\(value)"
        case .value(.number(let number)): "\(number)"
        case .value(.string(let text)): "\"\(text.description.prefix(40))\""
        case .value(.date(let date)): "the date \(date)"
        case .list(let elements): "a list of \(elements.count)"
        }
    }
}

/// An operator with what it was given, which fits: one step before the tree.
enum FilterTerm {
    /// What one value satisfies, together with other comparisons if there are any.
    case comparison(FilterComparison)
    case not(FilterComparison)
    case exists(Bool)
    case contains(FilterOperand)
    case all([FilterOperand])

    /// - Returns: Nil if the operator cannot be given this; `FilterOperator.expected` says what.
    init?(_ name: FilterOperator, _ given: GivenOperand) {
        switch (name, given) {
        case (.oneOf, .list(let list)): self = .comparison(.oneOf(list))
        case (.noneOf, .list(let list)): self = .not(.oneOf(list))
        case (.all, .list(let list)): self = .all(list)
        case (.exists, .value(.bool(let value))): self = .exists(value)
        case (.prefix, .value(.string(let text))): self = .comparison(.prefix(text))
        case (.equal, _), (.notEqual, _), (.contains, _):
            guard let operand = given.operand else { return nil }
            self =
                name == .equal
                ? .comparison(.equal(operand))
                : name == .notEqual ? .not(.equal(operand)) : .contains(operand)
        case (.above, .value(let value)) where value.isOrdered:
            self = .comparison(.above(value, orEqual: false))
        case (.aboveOrEqual, .value(let value)) where value.isOrdered:
            self = .comparison(.above(value, orEqual: true))
        case (.below, .value(let value)) where value.isOrdered:
            self = .comparison(.below(value, orEqual: false))
        case (.belowOrEqual, .value(let value)) where value.isOrdered:
            self = .comparison(.below(value, orEqual: true))
        default: return nil
        }
    }

    /// The tree of a term that stands for itself.
    func node(_ path: FilterPath) -> FilterNode {
        switch self {
        case .comparison(let comparison): return .some(path, [comparison])
        case .not(let comparison): return .not(.some(path, [comparison]))
        case .exists(let isWanted):
            let node = FilterNode.condition(FilterCondition(path: path, test: .exists))
            return isWanted ? node : .not(node)
        case .contains(let operand):
            return .condition(FilterCondition(path: path, test: .contains(operand)))
        case .all(let operands):
            // Nothing has all of nothing, as elsewhere.
            guard !operands.isEmpty else { return .some(path, [.oneOf([])]) }
            return .and(operands.map { .some(path, [.equal($0)]) })
        }
    }
}

extension FilterValue {
    /// Whether values of its kind are above and below each other.
    fileprivate var isOrdered: Bool {
        switch self {
        case .null, .bool: false
        case .number, .string, .date: true
        }
    }
}
