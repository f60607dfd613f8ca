internal import OmenSystem
package import OmenCore

extension VectorIndex {
    /// Rows that have addresses; as many as there may ever be where these are not limited.
    package var capacity: Int { rowStore.capacity }

    /// Makes room for `count` rows in all: appending and linking them needs no more addresses.
    ///
    /// - Parameters:
    ///   - count: Rows, live or not.
    ///   - isAmple: Whether to make room for a quarter more, where that is there.
    /// - Throws: `.resourceExhausted` when the index holds its most rows, or naming the limit of
    ///   addresses; it is as before then.
    /// - Complexity: O(1), amortised over many ample calls.
    package func reserve(_ count: Int, isAmple: Bool = true) throws(OmenError) {
        guard count > rowStore.capacity else { return }
        guard count <= layout.rowCountMax else {
            throw OmenError(
                .resourceExhausted,
                "the index holds \(rowCount) rows, at most \(layout.rowCountMax)"
            )
        }
        guard isLimited else {
            rowStore.capacity = layout.rowCountMax
            return
        }
        try AddressSpace.grow(
            to: count,
            from: rowStore.capacity,
            most: layout.rowCountMax,
            step: isAmple ? AddressSpace.rowStep : nil
        ) { rows throws(OmenError) in try map(rows) }
    }

    /// Gives addresses back that `reserve` brought for rows that did not come.
    ///
    /// - Precondition: `count >= rowCount`.
    package func release(to count: Int) {
        guard isLimited, count < rowStore.capacity else { return }
        precondition(count >= rowCount, "\(count) rows of \(rowCount)")
        for (section, region) in regions {
            region.shrink(to: layout.byteCount(of: section, rowCount: count))
        }
        stamps.shrink(to: count)
        rowStore.capacity = count
    }

    /// Whether regions have fewer addresses than they may need.
    private var isLimited: Bool {
        regions.values.contains { $0.mappedByteCount < $0.byteCountMax }
    }

    private func map(_ count: Int) throws(OmenError) {
        let before = rowStore.capacity
        rowStore.capacity = count
        do throws(OmenError) {
            for (section, region) in regions {
                try region.grow(to: layout.byteCount(of: section, rowCount: count))
            }
            try stamps.grow(to: count)
            try scratch.reserve(count)
        } catch {
            // While opening, the rows of the file are there before any capacity is.
            release(to: max(before, rowCount))
            throw error
        }
    }
}
