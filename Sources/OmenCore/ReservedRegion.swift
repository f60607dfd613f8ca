internal import Glibc

/// A reserved range of addresses whose pages appear when first touched.
///
/// Row arrays live here: growth never moves or copies them, so a second thread may read rows that
/// no longer change while new ones are appended. Fresh pages read as zero. Not thread-safe by
/// itself; whoever shares it must only share rows that stand still.
package final class ReservedRegion: @unchecked Sendable {
    /// First byte; page-aligned, stable for the region's life.
    package let base: UnsafeMutableRawPointer
    /// Bytes of address space held; memory is used only for touched pages.
    package let byteCountMax: Int

    /// Reserves addresses for `byteCountMax` bytes, rounded up to whole pages.
    ///
    /// - Throws: `.resourceExhausted` when the system refuses the range.
    package init(byteCountMax: Int) throws(OmenError) {
        precondition(byteCountMax > 0, "a region of \(byteCountMax) bytes")
        let rounded = Self.roundedToPages(byteCountMax)
        let address = mmap(
            nil,
            rounded,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let address, address != MAP_FAILED else {
            throw OmenError(
                .resourceExhausted,
                "cannot reserve \(rounded) bytes of address space: errno \(errno)"
            )
        }
        base = address
        self.byteCountMax = rounded
    }

    deinit { munmap(base, byteCountMax) }

    /// Gives back what the last large page holds behind the first `byteCount` bytes.
    ///
    /// - Precondition: Nothing was written there: it reads as zeros afterwards.
    package func returnTail(behind byteCount: Int) {
        let start = Self.roundedToPages(byteCount)
        let mask: UInt = (2 << 20) - 1
        let end = (UInt(bitPattern: base) + UInt(start) + mask) & ~mask
        let count = min(byteCountMax, Int(end - UInt(bitPattern: base))) - start
        // Advice only: what stays is a page or two of zeros.
        if count > 0 { _ = madvise(base + start, count, MADV_DONTNEED) }
    }

    /// `byteCount` rounded up to whole 4 KiB pages.
    package static func roundedToPages(_ byteCount: Int) -> Int { (byteCount + 4095) & ~4095 }
}
