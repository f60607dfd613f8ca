internal import OmenSystem
internal import OmenCore

/// The rows that searches for links have seen: a stamp of one byte for each row.
///
/// A search begins with another stamp than those before it, so nothing has to be cleared.
final class VisitedStamps {
    private let region: ReservedRegion
    private var stamp: UInt8 = 0

    /// - Throws: `.resourceExhausted` without address space.
    init(rowCountMax: Int) throws(OmenError) {
        region = try ReservedRegion(growingTo: rowCountMax, from: 0)
    }

    /// One byte for each row.
    var bytes: UnsafeMutablePointer<UInt8> { region.base.assumingMemoryBound(to: UInt8.self) }

    /// Begins a search of a graph with `rowCount` rows.
    ///
    /// - Returns: A stamp that no row carries.
    func next(rowCount: Int) -> UInt8 {
        stamp &+= 1
        if stamp == 0 {
            region.base.initializeMemory(as: UInt8.self, repeating: 0, count: rowCount)
            stamp = 1
        }
        return stamp
    }

    /// - Throws: `.resourceExhausted` naming the limit.
    func grow(to rowCount: Int) throws(OmenError) { try region.grow(to: rowCount) }

    func shrink(to rowCount: Int) { region.shrink(to: rowCount) }
}
