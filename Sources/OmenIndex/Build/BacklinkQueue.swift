internal import OmenSystem
internal import OmenCore

/// Links back to some members that found no room, as chains in one array.
final class BacklinkQueue {
    let members: Range<Int>
    /// 1 + the last entry of each member; 0 for none.
    private let heads: BuildMemory<UInt32>
    /// The link in the lower half, 1 + the entry before it in the upper.
    private let entries: ReservedRegion
    private let entryBase: UnsafeMutablePointer<UInt64>
    private let entryCountMax: Int
    /// Entries that have addresses: all of them, unless these are limited.
    private var entryCapacity: Int
    private var entryCount = 0

    /// Only pages of entries that are used take memory.
    init(_ members: Range<Int>, entryCountMax: Int) throws(BuildEnd) {
        self.members = members
        heads = try BuildMemory(count: members.count)
        self.entryCountMax = min(entryCountMax, Int(UInt32.max) - 1)
        do throws(OmenError) {
            entries = try ReservedRegion(growingTo: max(1, self.entryCountMax) * 8, from: 0)
        } catch {
            throw .failed(error)
        }
        entries.adviseLargePages()
        entryBase = entries.base.assumingMemoryBound(to: UInt64.self)
        entryCapacity = min(self.entryCountMax, entries.mappedByteCount / 8)
    }

    @inline(__always)
    private func place(_ member: Int) -> Int { member &- members.lowerBound }

    @inline(__always)
    func hasAny(_ member: Int) -> Bool { heads.base[place(member)] != 0 }

    /// Adds a link; lost beyond four billion, which 134 million members with 32 links may have, and
    /// beyond a limit of addresses: lists are long enough without it.
    @inline(__always)
    func add(_ link: UInt32, to member: Int) {
        guard entryCount < entryCapacity || grow() else { return }
        let place = place(member)
        entryBase[entryCount] = UInt64(heads.base[place]) << 32 | UInt64(link)
        entryCount &+= 1
        heads.base[place] = UInt32(truncatingIfNeeded: entryCount)
    }

    private func grow() -> Bool {
        guard entryCapacity < entryCountMax else { return false }
        do throws(OmenError) {
            try entries.grow(
                to: min(entryCountMax * 8, entries.mappedByteCount * 5 / 4 + (1 << 20))
            )
        } catch { return false }
        entryCapacity = min(entryCountMax, entries.mappedByteCount / 8)
        return true
    }

    /// Copies the links waiting for a member, the last first.
    ///
    /// - Returns: How many were copied.
    func copy(_ member: Int, into links: UnsafeMutablePointer<UInt32>, atMost room: Int) -> Int {
        var next = heads.base[place(member)]
        var count = 0
        while next != 0, count < room {
            let entry = entryBase[Int(next) - 1]
            links[count] = UInt32(truncatingIfNeeded: entry)
            count += 1
            next = UInt32(truncatingIfNeeded: entry >> 32)
        }
        return count
    }
}
