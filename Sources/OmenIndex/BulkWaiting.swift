/// Links back to some members that found no room, as chains in one array.
final class BulkWaiting {
    let members: Range<Int>
    /// 1 + the last entry of each member; 0 for none.
    private let heads: BulkMemory<UInt32>
    /// The link in the lower half, 1 + the entry before it in the upper.
    private let entries: BulkMemory<UInt64>
    private var entryCount = 0

    /// Only pages of entries that are used take memory.
    init(_ members: Range<Int>, entryCountMax: Int) throws(BulkEnd) {
        self.members = members
        heads = try BulkMemory(count: members.count)
        entries = try BulkMemory(count: min(entryCountMax, Int(UInt32.max) - 1))
    }

    @inline(__always)
    private func place(_ member: Int) -> Int { member &- members.lowerBound }

    @inline(__always)
    func hasAny(_ member: Int) -> Bool { heads.base[place(member)] != 0 }

    /// Adds a link; lost beyond four billion, which 134 million members with 32 links may have:
    /// lists are long enough without it.
    @inline(__always)
    func add(_ link: UInt32, to member: Int) {
        guard entryCount < entries.count else { return }
        let place = place(member)
        entries.base[entryCount] = UInt64(heads.base[place]) << 32 | UInt64(link)
        entryCount &+= 1
        heads.base[place] = UInt32(truncatingIfNeeded: entryCount)
    }

    /// Copies the links waiting for a member, the last first.
    ///
    /// - Returns: How many were copied.
    func copy(_ member: Int, into links: UnsafeMutablePointer<UInt32>, atMost room: Int) -> Int {
        var next = heads.base[place(member)]
        var count = 0
        while next != 0, count < room {
            let entry = entries.base[Int(next) - 1]
            links[count] = UInt32(truncatingIfNeeded: entry)
            count += 1
            next = UInt32(truncatingIfNeeded: entry >> 32)
        }
        return count
    }
}
