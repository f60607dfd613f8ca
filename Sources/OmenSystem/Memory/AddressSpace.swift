package import OmenCore
internal import Glibc
internal import Synchronization

/// Addresses that this process may have mapped at a time.
///
/// Without a limit, regions map all addresses that they may ever need: that costs nothing. Batch
/// systems set a limit (setrlimit(2), RLIMIT_AS; `ulimit -v`), which counts addresses and not
/// memory. Then regions map what they use and grow in place: each has a place of its own in a part
/// of the address space where the system maps nothing by itself, with free addresses behind it.
package enum AddressSpace {
    /// Bytes that the limit allows; nil without one.
    package static var limit: Int? {
        var found = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &found) == 0,
            found.rlim_cur != rlim_t.max
        else { return nil }
        return Int(clamping: found.rlim_cur)
    }

    /// Fewest rows that addresses are asked for at a time.
    package static let rowStep = 4096

    /// Makes room for `count` rows or bytes, and for a quarter more where there is that much, so
    /// that growing step by step stays linear.
    ///
    /// - Parameters:
    ///   - count: What must have room, in all.
    ///   - mapped: What has room now.
    ///   - most: What may ever have room.
    ///   - step: Least that is added, besides the quarter; nil makes room for `count` alone.
    ///   - map: Makes room for so much in all; throws when the limit does not allow it.
    /// - Throws: What `map` throws for `count` itself.
    package static func grow(
        to count: Int,
        from mapped: Int,
        most: Int,
        step: Int?,
        _ map: (Int) throws(OmenError) -> Void
    ) throws(OmenError) {
        let ample = min(most, max(count, step.map { mapped + mapped / 4 + $0 } ?? count))
        do throws(OmenError) {
            try map(ample)
        } catch {
            guard count < ample else { throw error }
            try map(count)
        }
    }

    /// Why `byteCount` bytes of addresses could not be had.
    package static func refusal(_ byteCount: Int, _ code: Int32) -> OmenError {
        guard let limit, code == ENOMEM else {
            return OmenError(
                .resourceExhausted,
                "cannot map \(byteCount) bytes of addresses: errno \(code)"
            )
        }
        return OmenError(
            .resourceExhausted,
            "\(byteCount) bytes of addresses are needed beside those in use, which the limit RLIMIT_AS (ulimit -v) of \(limit) bytes does not allow"
        )
    }

    /// Where places begin and end: far below the addresses that Linux gives out first, on all
    /// processors with 47 bits of them.
    private static let places: Range<UInt> = 0x1000_0000_0000..<0x6000_0000_0000
    /// A multiple of large pages, and free addresses behind each place.
    private static let unit: UInt = 1 << 30

    private struct LimitState {
        var next = places.lowerBound
        /// Places that were given back, by their size.
        var free: [UInt: [UInt]] = [:]
    }

    private static let state = Mutex(LimitState())

    private static func size(_ byteCount: Int) -> UInt {
        (UInt(byteCount) + unit - 1) / unit * unit + unit
    }

    /// A place with room for `byteCount` bytes; nil when there are none left.
    static func takePlace(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let size = size(byteCount)
        return state.withLock { state in
            if let place = state.free[size]?.popLast() {
                return UnsafeMutableRawPointer(bitPattern: place)
            }
            guard places.upperBound - state.next > size else { return nil }
            defer { state.next += size }
            return UnsafeMutableRawPointer(bitPattern: state.next)
        }
    }

    static func returnPlace(_ base: UnsafeMutableRawPointer, _ byteCount: Int) {
        state.withLock { $0.free[size(byteCount), default: []].append(UInt(bitPattern: base)) }
    }

    /// Maps zeroed pages at an address where nothing may be.
    ///
    /// - Returns: 0, or why not (errno).
    static func map(_ address: UnsafeMutableRawPointer, _ byteCount: Int) -> Int32 {
        // MAP_FIXED_NOREPLACE, which older kernels take for a hint.
        let fixed: Int32 = 0x100000
        let found = mmap(
            address,
            byteCount,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed,
            -1,
            0
        )
        guard let found, found != MAP_FAILED else { return errno }
        guard found == address else {
            munmap(found, byteCount)
            return EEXIST
        }
        return 0
    }
}
