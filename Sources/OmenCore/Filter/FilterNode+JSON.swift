extension FilterNode {
    /// The tree as JSON, from which the same tree is read.
    ///
    /// It is what travels, and what a cache can be asked by: one tree has one text.
    var json: JSON {
        switch self {
        case .all: .object([])
        case .and(let nodes): .object([("$and", .array(nodes.map(\.json)))])
        case .or(let nodes): .object([("$or", .array(nodes.map(\.json)))])
        case .not(let node): .object([("$not", node.json)])
        case .condition(let condition):
            .object([(condition.path.description, .object(condition.test.json))])
        }
    }
}

extension FilterTest {
    fileprivate var json: [(String, JSON)] {
        switch self {
        case .exists: [(FilterOperator.exists.rawValue, .bool(true))]
        case .contains(let operand): [(FilterOperator.contains.rawValue, operand.json)]
        case .some(let comparisons): comparisons.map(\.json)
        }
    }
}

extension FilterComparison {
    fileprivate var json: (String, JSON) {
        switch self {
        case .equal(let operand): (FilterOperator.equal.rawValue, operand.json)
        case .oneOf(let operands): (FilterOperator.oneOf.rawValue, .array(operands.map(\.json)))
        case .above(let value, let orEqual):
            ((orEqual ? FilterOperator.aboveOrEqual : .above).rawValue, value.json)
        case .below(let value, let orEqual):
            ((orEqual ? FilterOperator.belowOrEqual : .below).rawValue, value.json)
        case .prefix(let text): (FilterOperator.prefix.rawValue, .string(text.description))
        }
    }
}

extension FilterOperand {
    fileprivate var json: JSON {
        switch self {
        case .value(let value): value.json
        case .list(let values): .array(values.map(\.json))
        }
    }
}

extension FilterValue {
    fileprivate var json: JSON {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let number): .text(Array(number.description.utf8))
        case .string(let text): .string(text.description)
        case .date(let date): .object([("$date", .string(date.description))])
        }
    }
}
