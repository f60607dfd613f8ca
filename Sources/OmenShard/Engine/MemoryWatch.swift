internal import OmenCore
internal import OmenStorage

/// Memory that the system had left when it was last asked.
///
/// Asking reads some ten small files, which costs more than it tells where nothing is written. So
/// it is asked when something is, once a second, and more often where much is.
struct MemoryWatch {
    /// Nanoseconds after which an answer is old.
    static let interval: UInt64 = 1_000_000_000
    /// Bytes accepted after which it is old, too: eight shards together then use up
    /// `Limits.memoryReserveByteCount`.
    static let byteCountMax = Limits.memoryReserveByteCount / 8

    /// Bytes left; everything where the system does not tell, for then nothing can be refused.
    private(set) var availableByteCount = Int.max
    private let ask: () -> Int?
    private var askedAt: UInt64?
    private var acceptedByteCount = 0

    /// - Parameter ask: What tells the bytes that are left.
    init(_ ask: @escaping () -> Int?) { self.ask = ask }

    /// Notes an operation before it is accepted.
    ///
    /// - Parameters:
    ///   - write: An operation; only the bytes of upserts are counted.
    ///   - now: When it came, in nanoseconds of the shard's clock.
    /// - Returns: Whether there is another answer.
    mutating func note(_ write: ShardWrite, now: UInt64) -> Bool {
        guard case .upsert = write.operation else { return false }
        acceptedByteCount += write.operationByteCount
        if let askedAt, now - askedAt < Self.interval, acceptedByteCount < Self.byteCountMax {
            return false
        }
        askedAt = now
        acceptedByteCount = 0
        availableByteCount = ask() ?? .max
        return true
    }
}
