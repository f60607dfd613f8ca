/// The tree of a filter, whatever text it was made from.
///
/// A filter is true or false for every metadata: there is no third truth, so `not` is the exact
/// complement.
package indirect enum FilterNode: Hashable, Sendable {
    /// Every record.
    case all
    case and([FilterNode])
    case or([FilterNode])
    case not(FilterNode)
    case condition(FilterCondition)
}

/// A question about what the metadata holds at one path.
package struct FilterCondition: Hashable, Sendable {
    package let path: FilterPath
    package let test: FilterTest

    package init(path: FilterPath, test: FilterTest) {
        self.path = path
        self.test = test
    }
}

/// What must be true at a path.
///
/// Several values may be there, where the path leads through lists.
package enum FilterTest: Hashable, Sendable {
    /// There is a value, be it null or an empty list.
    case exists
    /// One value, or one element of a list that is the value, satisfies every comparison. Where
    /// there is no value, null stands for it.
    case some([FilterComparison])
    /// A value is a list, and one of its elements is equal to this.
    case contains(FilterOperand)
}

/// What one value is compared with.
package enum FilterComparison: Hashable, Sendable {
    case equal(FilterOperand)
    case oneOf([FilterOperand])
    /// Above a number, a string or a date, among values of the same kind.
    case above(FilterValue, orEqual: Bool)
    case below(FilterValue, orEqual: Bool)
    /// A string that begins with this.
    case prefix(FilterText)
}

extension FilterComparison {
    /// Whether one value would have to be compared as a string and as a date.
    ///
    /// Such comparisons are not taken together, because `FilterKeys` keeps the kinds apart.
    ///
    /// - Parameter comparisons: Those that one value must satisfy.
    /// - Returns: True where one of them asks for strings and another one for dates.
    package static func clash(_ comparisons: [FilterComparison]) -> Bool {
        let keys = comparisons.map { FilterKeys($0) }
        return keys.indices.contains { one in
            !keys[one].dates.isEmpty
                && keys.indices.contains { $0 != one && !keys[$0].strings.isEmpty }
        }
    }
}

extension FilterNode {
    /// One value at the path satisfies all comparisons.
    static func some(_ path: FilterPath, _ comparisons: [FilterComparison]) -> FilterNode {
        .condition(FilterCondition(path: path, test: .some(comparisons)))
    }

    /// How many nodes the tree has.
    var count: Int {
        switch self {
        case .all, .condition: 1
        case .and(let nodes), .or(let nodes): nodes.reduce(1) { $0 + $1.count }
        case .not(let node): 1 + node.count
        }
    }

    /// How many nodes the longest way down to a condition has.
    private var height: Int {
        switch self {
        case .all, .condition: 1
        case .and(let nodes), .or(let nodes): 1 + (nodes.map(\.height).max() ?? 0)
        case .not(let node): 1 + node.height
        }
    }

    /// - Throws: `.badRequest` for a tree that is nested too deep.
    func checkHeight() throws(OmenError) {
        let height = height
        guard height <= Limits.filterDepthMax else {
            throw OmenError(
                .badRequest,
                "filter: $ is nested \(height) deep, expected at most \(Limits.filterDepthMax)"
            )
        }
    }
}
