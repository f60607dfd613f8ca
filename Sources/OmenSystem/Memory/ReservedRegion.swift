package import OmenCore
internal import Glibc

/// A reserved range of addresses whose pages appear when first touched.
///
/// Row arrays live here: growth never moves or copies them, so a second thread may read rows that
/// no longer change while new ones are appended. Fresh pages read as zero. Not thread-safe by
/// itself; only rows that stand still may be shared.
package final class ReservedRegion: @unchecked Sendable {
    /// First byte; page-aligned, stable for the region's life.
    package let base: UnsafeMutableRawPointer
    /// Bytes it may have at most; memory is used only for touched pages.
    package let byteCountMax: Int
    /// Bytes that may be touched now; all of them where addresses are not limited.
    package private(set) var mappedByteCount: Int
    /// Whether it has a place of its own to grow in.
    private let isPlaced: Bool
    private var hasLargePages = false

    /// Maps `byteCountMax` bytes, rounded up to whole pages.
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
            throw AddressSpace.refusal(rounded, errno)
        }
        base = address
        self.byteCountMax = rounded
        mappedByteCount = rounded
        isPlaced = false
    }

    /// Reserves room for `byteCountMax` bytes, of which `byteCount` may be touched at once.
    ///
    /// `grow` makes it more. Where addresses are not limited, it is all of them at once.
    /// - Throws: `.resourceExhausted` naming the limit.
    package convenience init(
        growingTo byteCountMax: Int,
        from byteCount: Int
    ) throws(OmenError) {
        if AddressSpace.limit == nil {
            try self.init(byteCountMax: byteCountMax)
        } else {
            try self.init(placedTo: byteCountMax, from: byteCount)
        }
    }

    /// The same as if addresses were limited.
    init(placedTo byteCountMax: Int, from byteCount: Int) throws(OmenError) {
        let mapped = Self.roundedToPages(max(1, byteCount))
        let rounded = max(mapped, Self.roundedToPages(byteCountMax))
        // What else lies there is skipped.
        for _ in 0..<16 {
            guard let place = AddressSpace.takePlace(rounded) else { break }
            let code = AddressSpace.map(place, mapped)
            if code == 0 {
                base = place
                self.byteCountMax = rounded
                mappedByteCount = mapped
                isPlaced = true
                return
            }
            if code != EEXIST {
                AddressSpace.returnPlace(place, rounded)
                throw AddressSpace.refusal(mapped, code)
            }
        }
        throw OmenError(.resourceExhausted, "no range of \(rounded) free addresses was found")
    }

    deinit {
        munmap(base, mappedByteCount)
        if isPlaced { AddressSpace.returnPlace(base, byteCountMax) }
    }

    /// Makes the first `byteCount` bytes usable; the others stay where they are.
    ///
    /// Other threads may use what was usable before meanwhile.
    /// - Throws: `.resourceExhausted` naming the limit; nothing has changed then.
    package func grow(to byteCount: Int) throws(OmenError) {
        guard byteCount > mappedByteCount else { return }
        let wanted = Self.roundedToPages(byteCount)
        guard wanted <= byteCountMax else {
            throw OmenError(
                .resourceExhausted,
                "\(byteCount) bytes of one kind, at most \(byteCountMax) are possible"
            )
        }
        let code = AddressSpace.map(base + mappedByteCount, wanted - mappedByteCount)
        guard code == 0 else { throw AddressSpace.refusal(wanted - mappedByteCount, code) }
        mappedByteCount = wanted
        if hasLargePages { adviseLargePages() }
    }

    /// Gives addresses back that `grow` brought and nobody has touched since.
    package func shrink(to byteCount: Int) {
        let wanted = Self.roundedToPages(max(1, byteCount))
        guard isPlaced, wanted < mappedByteCount else { return }
        munmap(base + wanted, mappedByteCount - wanted)
        mappedByteCount = wanted
    }

    /// Asks for 2 MiB pages, now and for what it grows by.
    package func adviseLargePages() {
        hasLargePages = true
        // Advice only: without large pages everything still works.
        _ = madvise(base, mappedByteCount, MADV_HUGEPAGE)
    }

    /// Gives back what the last large page holds behind the first `byteCount` bytes.
    ///
    /// - Precondition: Nothing was written there: it reads as zeros afterwards.
    package func returnTail(behind byteCount: Int) {
        let start = Self.roundedToPages(byteCount)
        let mask: UInt = (2 << 20) - 1
        let end = (UInt(bitPattern: base) + UInt(start) + mask) & ~mask
        let count = min(mappedByteCount, Int(end - UInt(bitPattern: base))) - start
        // Advice only: what stays is a page or two of zeros.
        if count > 0 { _ = madvise(base + start, count, MADV_DONTNEED) }
    }

    /// `byteCount` rounded up to whole 4 KiB pages.
    package static func roundedToPages(_ byteCount: Int) -> Int { (byteCount + 4095) & ~4095 }
}
