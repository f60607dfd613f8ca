/// Where a bulk build keeps the candidates of each member: in the list that will hold its links,
/// and what is more in memory of its own.
struct CandidateLists {
    /// The lists, `[count][stride]`, of which the first `slots` words are used.
    let base: UnsafeMutablePointer<UInt32>
    let stride: Int
    let slots: Int
    /// Most candidates of a member.
    let capacity: Int
    /// What does not fit into the lists, `[count][capacity - slots]`.
    private let rest: BuildMemory<UInt32>

    /// - Parameters:
    ///   - base: Lists of `count` members.
    ///   - stride: Words from one to the next.
    ///   - slots: Words of one.
    ///   - capacity: Most candidates.
    ///   - count: Members.
    /// - Throws: `.failed` without memory.
    init(
        _ base: UnsafeMutablePointer<UInt32>,
        stride: Int,
        slots: Int,
        capacity: Int,
        count: Int
    ) throws(BuildEnd) {
        self.base = base
        self.stride = stride
        self.slots = min(slots, capacity)
        self.capacity = capacity
        rest = try BuildMemory(count: count * (capacity - self.slots))
    }

    /// The place of candidate `index` of a member.
    @inline(__always)
    func place(_ index: Int, of member: Int) -> UnsafeMutablePointer<UInt32> {
        index < slots
            ? base + (member &* stride &+ index)
            : rest.base + (member &* (capacity &- slots) &+ (index &- slots))
    }

    /// Copies the first `count` candidates of a member.
    @inline(__always)
    func copy(_ member: Int, count: Int, to target: UnsafeMutablePointer<UInt32>) {
        let first = min(count, slots)
        target.update(from: base + member &* stride, count: first)
        guard count > first else { return }
        (target + first).update(
            from: rest.base + member &* (capacity &- slots),
            count: count &- first
        )
    }
}
