/// A set of keys of one kind: ranges in ascending order that have no key in common.
///
/// An index over sorted keys answers each range with two look-ups.
package struct KeyRanges<Key: Comparable & Sendable & Hashable>: Hashable, Sendable {
    /// From one key to another, or all keys on one side.
    package struct Range: Hashable, Sendable {
        /// Nil: there is no least key.
        package fileprivate(set) var lower: Key?
        package fileprivate(set) var includesLower: Bool
        /// Nil: there is no greatest key.
        package fileprivate(set) var upper: Key?
        package fileprivate(set) var includesUpper: Bool

        package init(
            lower: Key?,
            includesLower: Bool = true,
            upper: Key?,
            includesUpper: Bool = true
        ) {
            self.lower = lower
            // Where there is no bound, one value of these, so that equal ranges are equal.
            self.includesLower = includesLower || lower == nil
            self.upper = upper
            self.includesUpper = includesUpper || upper == nil
        }

        /// Whether no key can be in it.
        fileprivate var isEmpty: Bool {
            guard let lower, let upper else { return false }
            return lower > upper || (lower == upper && !(includesLower && includesUpper))
        }

        /// The keys that are in both.
        fileprivate func intersection(_ other: Self) -> Self {
            var both = self
            if let key = other.lower {
                let isHigher = lower.map { key > $0 || (key == $0 && !other.includesLower) } ?? true
                if isHigher { (both.lower, both.includesLower) = (key, other.includesLower) }
            }
            if let key = other.upper {
                let isLower = upper.map { key < $0 || (key == $0 && !other.includesUpper) } ?? true
                if isLower { (both.upper, both.includesUpper) = (key, other.includesUpper) }
            }
            return both
        }

        /// Whether it ends before the other one does.
        fileprivate func ends(before other: Self) -> Bool {
            guard let upper else { return false }
            guard let otherUpper = other.upper else { return true }
            if upper != otherUpper { return upper < otherUpper }
            return !includesUpper && other.includesUpper
        }
    }

    package private(set) var ranges: [Range] = []

    /// No key.
    package init() {}

    /// The keys of one range.
    package init(_ range: Range) {
        if !range.isEmpty { ranges = [range] }
    }

    /// Each key that is listed, in any order.
    package init(_ keys: [Key]) {
        var last: Key?
        for key in keys.sorted() where key != last {
            ranges.append(Range(lower: key, upper: key))
            last = key
        }
    }

    package var isEmpty: Bool { ranges.isEmpty }

    /// The keys that are in both sets.
    ///
    /// - Complexity: O(n + m) for n and m ranges.
    package func intersection(_ other: Self) -> Self {
        var both = Self()
        var (left, right) = (0, 0)
        while left < ranges.count, right < other.ranges.count {
            let range = ranges[left].intersection(other.ranges[right])
            if !range.isEmpty { both.ranges.append(range) }
            if ranges[left].ends(before: other.ranges[right]) { left += 1 } else { right += 1 }
        }
        return both
    }

    /// Whether a key is in the set that is known only by how it stands to others.
    ///
    /// - Parameter order: How the key stands to the one it is called with: below 0 if it comes
    ///   before it, 0 if it is equal, above 0 if it comes after.
    /// - Returns: True if it is.
    /// - Complexity: O(log n) for n ranges.
    @inline(__always)
    func contains(_ order: (Key) -> Int) -> Bool {
        var (low, high) = (0, ranges.count)
        // The first range that does not end before the key.
        while low < high {
            let middle = (low + high) / 2
            let range = ranges[middle]
            let isBehind = range.upper.map {
                let place = order($0)
                return place > 0 || (place == 0 && !range.includesUpper)
            }
            if isBehind ?? false { low = middle + 1 } else { high = middle }
        }
        guard low < ranges.count else { return false }
        let range = ranges[low]
        guard let lower = range.lower else { return true }
        let place = order(lower)
        return place > 0 || (place == 0 && range.includesLower)
    }

    /// Whether a key is in the set.
    ///
    /// - Complexity: O(log n) for n ranges.
    @inline(__always)
    package func contains(_ key: Key) -> Bool {
        contains { key < $0 ? -1 : key == $0 ? 0 : 1 }
    }
}
