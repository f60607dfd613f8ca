/// What a value must be: the values that satisfy comparisons, as keys that an index can look up.
package struct FilterKeys: Hashable, Sendable {
    /// Also where there is no value at all.
    package var includesNull = false
    package var includesFalse = false
    package var includesTrue = false
    package var numbers = KeyRanges<JSONNumber>()
    package var strings = KeyRanges<FilterText>()
    /// Strings that are dates.
    ///
    /// Such a string has a key of this kind and one of `strings`; either is
    /// enough.
    package var dates = KeyRanges<FilterDate>()
    /// Lists as a whole: sorted, each once.
    ///
    /// An index of single values cannot answer these alone.
    package var lists: [[FilterValue]] = []

    /// No value.
    package init() {}

    /// The values that are equal to one of these.
    package init(_ operands: [FilterOperand]) {
        var numbers: [JSONNumber] = []
        var strings: [FilterText] = []
        var dates: [FilterDate] = []
        var lists: Set<[FilterValue]> = []
        for operand in operands {
            switch operand {
            case .value(.null): includesNull = true
            case .value(.bool(let value)):
                includesTrue = includesTrue || value
                includesFalse = includesFalse || !value
            case .value(.number(let number)): numbers.append(number)
            case .value(.string(let string)): strings.append(string)
            case .value(.date(let date)): dates.append(date)
            case .list(let list): lists.insert(list)
            }
        }
        self.numbers = KeyRanges(numbers)
        self.strings = KeyRanges(strings)
        self.dates = KeyRanges(dates)
        self.lists = lists.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// The values that satisfy one comparison.
    package init(_ comparison: FilterComparison) {
        switch comparison {
        case .equal(let operand): self.init([operand])
        case .oneOf(let operands): self.init(operands)
        case .above(let value, let orEqual):
            self.init()
            switch value {
            case .number(let key):
                numbers = KeyRanges(.init(lower: key, includesLower: orEqual, upper: nil))
            case .string(let key):
                strings = KeyRanges(.init(lower: key, includesLower: orEqual, upper: nil))
            case .date(let key):
                dates = KeyRanges(.init(lower: key, includesLower: orEqual, upper: nil))
            case .null, .bool: break
            }
        case .below(let value, let orEqual):
            self.init()
            switch value {
            case .number(let key):
                numbers = KeyRanges(.init(lower: nil, upper: key, includesUpper: orEqual))
            case .string(let key):
                strings = KeyRanges(.init(lower: nil, upper: key, includesUpper: orEqual))
            case .date(let key):
                dates = KeyRanges(.init(lower: nil, upper: key, includesUpper: orEqual))
            case .null, .bool: break
            }
        case .prefix(let text):
            self.init()
            strings = KeyRanges(
                .init(lower: text, upper: text.endOfPrefix, includesUpper: false)
            )
        }
    }

    /// The values that satisfy all comparisons.
    ///
    /// - Precondition: There is at least one, and none asks for dates where another one asks for
    ///   strings: `FilterComparison.clash(_:)` tells.
    package init(_ comparisons: [FilterComparison]) {
        precondition(!comparisons.isEmpty, "no comparison")
        self.init(comparisons[0])
        for comparison in comparisons.dropFirst() {
            let other = FilterKeys(comparison)
            includesNull = includesNull && other.includesNull
            includesFalse = includesFalse && other.includesFalse
            includesTrue = includesTrue && other.includesTrue
            numbers = numbers.intersection(other.numbers)
            strings = strings.intersection(other.strings)
            dates = dates.intersection(other.dates)
            let others = Set(other.lists)
            lists.removeAll { !others.contains($0) }
        }
    }

    /// Whether a list as a whole is one of these.
    ///
    /// - Complexity: O(length · log n) for n lists.
    func contains(list: [FilterValue]) -> Bool {
        var (low, high) = (0, lists.count)
        while low < high {
            let middle = (low + high) / 2
            if lists[middle].lexicographicallyPrecedes(list) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < lists.count && lists[low] == list
    }
}
