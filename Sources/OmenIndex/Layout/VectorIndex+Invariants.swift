internal import Glibc
package import OmenCore

extension VectorIndex {
    /// Whether `OMENDB_CHECK_INVARIANTS=1` asks for a check after every `link`.
    static let checksInvariants: Bool = {
        guard let value = getenv("OMENDB_CHECK_INVARIANTS") else { return false }
        return String(cString: value) == "1"
    }()

    func mustHoldInvariants() {
        do {
            try checkInvariants()
        } catch {
            preconditionFailure("after linking row \(linkedCount - 1): \(error)")
        }
    }

    /// Checks the graph: see the list at `VectorIndex`.
    ///
    /// - Throws: `.corrupt` naming the first row that breaks a rule.
    /// - Complexity: O(linkedCount * m^2).
    package func checkInvariants() throws(OmenError) {
        for row in 0..<linkedCount { try checkBaseList(UInt32(row)) }
        for level in 1...Section.uppers.count { try checkLevel(level) }
        try checkReachability()
    }

    private func checkBaseList(_ row: UInt32) throws(OmenError) {
        let list = graph.baseLinks(row)
        let slots = layout.baseSlots
        let count = (0..<slots).first { list[$0] == Link.none } ?? slots
        for i in 0..<count {
            let target = list[i] & Link.rowMask
            guard target < linkedCount else {
                throw OmenError(.corrupt, "row \(row) links to \(target) of \(linkedCount) rows")
            }
            guard target != row else { throw OmenError(.corrupt, "row \(row) links to itself") }
            for j in 0..<i where list[j] & Link.rowMask == target {
                throw OmenError(.corrupt, "row \(row) links to \(target) twice")
            }
            guard list[i] & Link.pinned != 0 else { continue }
            let back = graph.baseLinks(target)
            guard (0..<slots).contains(where: { back[$0] == row | Link.pinned }) else {
                throw OmenError(.corrupt, "pinned link \(row) -> \(target) has no way back")
            }
        }
        for i in count..<slots where list[i] != Link.none {
            throw OmenError(.corrupt, "row \(row) has a link after the end of its list")
        }
    }

    private func checkLevel(_ level: Int) throws(OmenError) {
        let upper = graph.upper(level)
        let count = graph.upperCounts[level - 1]
        for slot in 0..<count {
            let slot = UInt32(slot)
            let links = upper.links(slot)
            var seen: Set<UInt32> = [slot]
            for i in 0..<upper.slots {
                if links[i] == Link.none { break }
                guard links[i] < count, seen.insert(links[i]).inserted else {
                    throw OmenError(
                        .corrupt,
                        "node \(slot) of level \(level) links to \(links[i]): out of range or again"
                    )
                }
            }
            let below = upper.below(slot)
            let rowBelow = level == 1 ? below : self.graph.upper(level - 1).row(below)
            guard upper.row(slot) == rowBelow else {
                throw OmenError(
                    .corrupt,
                    "node \(slot) of level \(level) is row \(upper.row(slot)), below \(rowBelow)"
                )
            }
        }
    }

    private func checkReachability() throws(OmenError) {
        guard let entry = graph.entry else { return }
        let start = entry.level == 0 ? entry.slot : graph.upper(entry.level).row(entry.slot)
        var reached = [Bool](repeating: false, count: linkedCount)
        var stack = [start]
        reached[Int(start)] = true
        while let row = stack.popLast() {
            let list = graph.baseLinks(row)
            for i in 0..<layout.baseSlots {
                if list[i] == Link.none { break }
                let target = list[i] & Link.rowMask
                if reached[Int(target)] { continue }
                reached[Int(target)] = true
                stack.append(target)
            }
        }
        for row in 0..<linkedCount where !reached[row] && !isDeleted(UInt32(row)) {
            throw OmenError(.corrupt, "live row \(row) cannot be reached from row \(start)")
        }
    }
}
