/// What one thread of a build needs to thin candidates to links.
final class LinkThinner {
    /// Most candidates of one member.
    static let targetCountMax = 4096
    let pulse: BuildProgress
    /// Candidates, to be set before `thin`.
    let targets: UnsafeMutablePointer<UInt32>
    private let slots: Int
    private let distances: UnsafeMutablePointer<Float>
    private let scored: UnsafeMutablePointer<UInt32>
    private let kept: UnsafeMutablePointer<UInt32>
    private var keys: Candidates
    private var occlusion: Occlusion
    /// Under ip where lengths differ: chooses half of the links.
    private var products: Occlusion?

    init(_ source: BuildSource, slots: Int, pulse: BuildProgress) {
        self.pulse = pulse
        self.slots = slots
        distances = .allocate(capacity: Self.targetCountMax)
        scored = .allocate(capacity: Self.targetCountMax)
        kept = .allocate(capacity: Self.targetCountMax)
        targets = .allocate(capacity: Self.targetCountMax)
        keys = Candidates(reserving: Self.targetCountMax + 1)
        occlusion = Occlusion(
            scorer: source.scorer,
            alpha: BuildPlan.alpha,
            distances: distances
        )
        if let scorer = source.products {
            products = Occlusion(
                scorer: scorer,
                alpha: Occlusion.productAlpha,
                distances: distances
            )
        }
    }

    deinit {
        distances.deallocate()
        scored.deallocate()
        kept.deallocate()
        targets.deallocate()
        keys.deallocate()
    }

    /// Links a member to those of `targets` that no nearer one hides, nearest first.
    ///
    /// - Parameters:
    ///   - member: Whose links they become.
    ///   - total: The number of targets.
    ///   - rows: The row of each member.
    ///   - list: Receives `slots` words.
    /// - Returns: How many links those are.
    func thin(
        _ member: Int,
        _ total: Int,
        _ rows: UnsafePointer<UInt32>,
        into list: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard var products else {
            return choose(&occlusion, member, total, rows, limit: slots, into: list)
        }
        // The nearest keep the graph in one piece, the largest products lead to what is asked for.
        let near = choose(&occlusion, member, total, rows, limit: slots / 2, into: list)
        var left = 0
        for i in 0..<total where !(0..<near).contains(where: { list[$0] == targets[i] }) {
            targets[left] = targets[i]
            left += 1
        }
        return near
            + choose(&products, member, left, rows, limit: slots - near, into: list + near)
    }

    /// Links a member to those of the first `total` targets that no better one hides.
    ///
    /// - Returns: How many; the rest of the `limit` words is emptied.
    private func choose(
        _ occlusion: inout Occlusion,
        _ member: Int,
        _ total: Int,
        _ rows: UnsafePointer<UInt32>,
        limit: Int,
        into list: UnsafeMutablePointer<UInt32>
    ) -> Int {
        for i in 0..<total { scored[i] = rows[Int(targets[i])] }
        occlusion.scorer.aim(at: rows[member])
        occlusion.scorer.score(scored, total, into: distances)
        keys.reset(width: max(1, total), capacity: max(1, total))
        for i in 0..<total {
            _ = keys.insertLive(Candidates.key(distances[i], targets[i]))
        }
        let sorted = keys.keys
        let keptCount = occlusion.choose(
            sorted,
            count: total,
            limit: limit,
            rowOf: { rows[Int($0)] },
            kept: kept,
            keptKeys: sorted
        )
        for i in 0..<limit { list[i] = i < keptCount ? Candidates.row(sorted[i]) : Link.none }
        return keptCount
    }
}
