internal import OmenSystem
internal import OmenCore

/// The sections of a frozen index, for another thread to write out.
///
/// Holds its memory itself. Row arrays are the live ones: linked rows and appended vectors stand
/// still while the index is frozen; deletion flags and counts are copies.
package final class IndexSnapshot: @unchecked Sendable {
    /// Non-empty sections in the order of their numbers; valid until `thaw`, and no longer than the
    /// snapshot itself lives.
    package let sections: [(VectorIndex.Section, UnsafeRawBufferPointer)]
    /// Full vectors that only reranking reads: what need not be in memory.
    ///
    /// Nil when the graph is traversed on them.
    package let rerankVectors: UnsafeMutableRawPointer?
    private let regions: [VectorIndex.Section: ReservedRegion]
    private let copies: [UnsafeMutableRawBufferPointer]

    init(
        regions: [VectorIndex.Section: ReservedRegion],
        lengths: [VectorIndex.Section: Int],
        state: [UInt8]
    ) {
        self.regions = regions
        let hasCodes = (lengths[.codes] ?? 0) > 0
        rerankVectors = hasCodes ? regions[.vectors]?.base : nil
        var sections: [(VectorIndex.Section, UnsafeRawBufferPointer)] = []
        var copies: [UnsafeMutableRawBufferPointer] = []
        func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
            let copy = UnsafeMutableRawBufferPointer.allocate(
                byteCount: bytes.count,
                alignment: 64
            )
            copy.copyMemory(from: bytes)
            copies.append(copy)
            return UnsafeRawBufferPointer(copy)
        }
        for section in VectorIndex.Section.allCases {
            if section == .state {
                sections.append((section, state.withUnsafeBytes(copy)))
                continue
            }
            guard let region = regions[section], let length = lengths[section], length > 0 else {
                continue
            }
            let bytes = UnsafeRawBufferPointer(start: region.base, count: length)
            // Rows are deleted while frozen, so the flags are copied.
            sections.append((section, section == .flags ? copy(bytes) : bytes))
        }
        self.sections = sections
        self.copies = copies
    }

    deinit { for copy in copies { copy.deallocate() } }
}

extension VectorIndex {
    /// Stops linking until `thaw`, and returns what has to be written out.
    ///
    /// Appending, deleting and searching go on. Rows of a batch that is being linked stay hot.
    package func freeze() -> IndexSnapshot {
        isFrozen = true
        batch = nil
        codeStore.pack(linkedCount: linkedCount)
        return IndexSnapshot(
            regions: regions,
            lengths: sectionByteCounts(),
            state: encodeState()
        )
    }

    /// Lets linking go on; the snapshot must not be read any more.
    package func thaw() {
        // Otherwise a batch that is being linked may have written behind the counts.
        guard isFrozen else { return }
        // Large pages hold up to 2 MiB behind the last row of each array.
        for (section, byteCount) in sectionByteCounts()
        where section.isPerRow && byteCount >= Self.largePageThreshold {
            regions[section]?.returnTail(behind: byteCount)
        }
        isFrozen = false
    }

    /// Bytes in use of every section but the state.
    func sectionByteCounts() -> [Section: Int] {
        var counts: [Section: Int] = [
            .vectors: rowCount * layout.vectorStride,
            .codes: codeStore.areTraversed ? linkedCount * layout.codeStride : 0,
            .packed: codeStore.arePackedTraversed ? linkedCount * layout.packedStride : 0,
            .terms: codeStore.areTraversed ? linkedCount * layout.termCount * 4 : 0,
            .links: linkedCount * layout.baseSlots * 4,
            .flags: (rowCount + 63) / 64 * 8,
            .aux: schema.metric == .l2 ? 0 : rowCount * 4,
        ]
        for (section, count) in zip(Section.uppers, graph.upperCounts) {
            counts[section] = count * layout.nodeWords * 4
        }
        return counts
    }
}
