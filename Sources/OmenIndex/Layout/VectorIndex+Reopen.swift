package import OmenSystem
package import OmenCore

extension VectorIndex {
    /// An index over sections that a snapshot wrote, as they were mapped back.
    ///
    /// The regions become the index's own memory: appending and linking go on in them.
    /// - Parameters:
    ///   - schema: As the index was created with.
    ///   - sections: Regions of at least `regionByteCountMax`, with the bytes in use; empty
    ///     sections may be missing. Bytes after those in use must read as zero.
    ///   - checksLinks: Whether to look at every link now. Otherwise nothing may be linked until
    ///     `checkLinks(_:at:linkedCount:)` has seen the bytes of the section, and a search that
    ///     meets a bad link may end the process.
    /// - Throws: `.corrupt` naming section and offset when anything contradicts anything,
    ///   `.unsupportedVersion` for another format.
    /// - Complexity: O(links), or O(upper nodes); looks at no vector and no code.
    package convenience init(
        schema: CollectionSchema,
        sections: [Section: (region: ReservedRegion, byteCount: Int)],
        checksLinks: Bool = true
    ) throws(OmenError) {
        guard let (region, byteCount) = sections[.state], byteCount <= region.byteCountMax else {
            throw OmenError(.corrupt, "section state is missing")
        }
        let state = try IndexState(
            UnsafeRawBufferPointer(start: region.base, count: byteCount),
            schema: schema
        )
        var given: [Section: ReservedRegion] = [:]
        for (section, value) in sections where section != .state {
            given[section] = value.region
        }
        try self.init(schema: schema, seed: state.seed, given: given)
        try adopt(state)
        try reserve(rowCount)
        let expected = sectionByteCounts()
        codeStore.packedCount = linkedCount
        for section in Section.allCases where section != .state {
            let found = sections[section]?.byteCount ?? 0
            guard found == expected[section] else {
                throw OmenError(
                    .corrupt,
                    "section \(section) has \(found) bytes, its counts say \(expected[section] ?? 0)"
                )
            }
        }
        try checkFlags()
        if checksLinks { try checkLinks() }
        for level in 1...Section.uppers.count { try checkNodes(level: level) }
        try checkEntry()
        advisePages(from: 0, to: rowCount)
    }

    private func adopt(_ state: IndexState) throws(OmenError) {
        guard state.rowCount <= layout.rowCountMax, state.linkedCount <= state.rowCount,
            state.deletedCount <= state.rowCount
        else {
            throw OmenError(
                .corrupt,
                "section state, offset 24: \(state.rowCount) rows, \(state.linkedCount) linked"
                    + ", \(state.deletedCount) deleted"
            )
        }
        rowStore.count = state.rowCount
        graph.linkedCount = state.linkedCount
        graph.storedLinkedCount = state.linkedCount
        rowStore.deletedCount = state.deletedCount
        graph.entry = state.entry
        for (index, count) in state.upperCounts.enumerated() {
            let most = index == 0 ? linkedCount : state.upperCounts[index - 1]
            guard count <= min(most, layout.nodeCountMax(level: index + 1)) else {
                throw OmenError(
                    .corrupt,
                    "section state, offset \(56 + 8 * index): \(count) nodes on level \(index + 1)"
                )
            }
        }
        graph.upperCounts = state.upperCounts
        rowStore.squaredNormMin = state.squaredNormMin
        rowStore.squaredNormMax = state.squaredNormMax
        graph.longRows = state.longRows
        graph.builtCount = state.builtCount
        settings = state.settings
        graph.landmarks = state.landmarks
        graph.chosenLandmarkCount = state.chosenLandmarkCount
        calibration = state.calibration
        sample = state.sample
        calibratedLSN = state.calibratedLSN
        codeStore.quantizer.kind = state.quantizerKind
        codeStore.quantizer.blursNibbles = state.blursNibbles
        codeStore.quantizer.scale = state.scale
        codeStore.quantizer.trainedRowCount = state.trainedRowCount
        codeStore.quantizer.encodedCount = state.encodedCount
        codeStore.quantizer.clampedCount = state.clampedCount
        if !state.offsets.isEmpty { codeStore.quantizer.setOffsets { state.offsets[$0] } }
    }

    private func checkFlags() throws(OmenError) {
        let words = (rowCount + 63) / 64
        var count = 0
        for word in 0..<words { count += rowStore.deleted[word].nonzeroBitCount }
        let spare = rowCount % 64
        let isTailClean = spare == 0 || rowStore.deleted[words - 1] >> UInt64(spare) == 0
        guard count == deletedCount, isTailClean else {
            throw OmenError(
                .corrupt,
                "section flags: \(count) rows are marked deleted, the state says \(deletedCount)"
            )
        }
    }

    private func checkLinks() throws(OmenError) {
        let slots = layout.baseSlots
        let limit = UInt32(linkedCount)
        for row in 0..<linkedCount {
            let list = graph.links + row * slots
            for i in 0..<slots where list[i] != Link.none {
                let target = list[i] & Link.rowMask
                guard target < limit, target != row else {
                    throw OmenError(
                        .corrupt,
                        "section links, offset \((row * slots + i) * 4): row \(row) links to "
                            + "\(target) of \(limit)"
                    )
                }
            }
        }
    }

    /// Checks that part of a file's links section names linked rows only.
    ///
    /// - Parameters:
    ///   - bytes: Whole words of the section; need not be aligned.
    ///   - offset: Where in the section they lie.
    ///   - linkedCount: Linked rows when the file was opened.
    /// - Throws: `.corrupt` naming the offset.
    package static func checkLinks(
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int,
        linkedCount: Int
    ) throws(OmenError) {
        let limit = UInt32(clamping: linkedCount)
        for place in stride(from: 0, to: bytes.count & ~3, by: 4) {
            let link = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
            guard link == Link.none || link & Link.rowMask < limit else {
                throw OmenError(
                    .corrupt,
                    "section links, offset \(offset + place): link to \(link & Link.rowMask) of \(limit)"
                )
            }
        }
    }

    private func checkNodes(level: Int) throws(OmenError) {
        let words = graph.uppers[level - 1]
        let count = graph.upperCounts[level - 1]
        let countBelow = level == 1 ? linkedCount : graph.upperCounts[level - 2]
        for slot in 0..<count {
            let first = slot * layout.nodeWords
            for i in 0..<layout.nodeWords {
                let value = words[first + i]
                let isGood =
                    switch i {
                    case 0: value < linkedCount
                    case 1: value < countBelow && rowBelow(level, value) == words[first]
                    default: value == Link.none || (value < count && value != slot)
                    }
                guard isGood else {
                    throw OmenError(
                        .corrupt,
                        "section upper\(level), offset \((first + i) * 4): value \(value)"
                    )
                }
            }
        }
    }

    /// The row of a checked slot one level below.
    private func rowBelow(_ level: Int, _ slot: UInt32) -> UInt32 {
        level == 1 ? slot : graph.upper(level - 1).row(slot)
    }

    private func checkEntry() throws(OmenError) {
        guard let entry = graph.entry else {
            // Only rows that were deleted before they were linked need no entry point.
            for row in 0..<linkedCount where !isDeleted(UInt32(row)) {
                throw OmenError(.corrupt, "section state, offset 48: no entry point, row \(row)")
            }
            return
        }
        let level = entry.level
        let count =
            level == 0
            ? linkedCount : level <= Section.uppers.count ? graph.upperCounts[level - 1] : 0
        guard entry.slot < count else {
            throw OmenError(
                .corrupt,
                "section state, offset 48: entry point \(entry.slot) of \(count) on level \(level)"
            )
        }
    }
}
