internal import OmenCore

/// The memory for clients' frames that are larger than what every connection may hold anyway.
///
/// Frames of ordinary size have a share of their own, so that nobody shuts them out by beginning
/// large ones. A large frame that has begun must be able to become whole, or clients that each hold
/// a part of one would wait for each other for ever: so one client at a time may have a frame of
/// any size beside what all others hold together. Those who have sent whole frames before come
/// first, the others in the order of their coming.
struct FrameLedger: Sendable {
    /// Memory that a client was given.
    private struct Grant {
        /// Whether it comes out of the share for ordinary frames.
        var isOrdinary: Bool
        /// Bytes of it.
        var byteCount: Int
    }

    /// Most bytes of ordinary frames.
    let ordinaryByteCountMax: Int
    /// Most bytes of larger frames but for the exempt client's.
    let largeByteCountMax: Int
    /// What each client was given, by its number; the exempt client's is not here.
    private var grants: [UInt64: Grant] = [:]
    /// Bytes that were given for ordinary frames.
    private(set) var ordinaryByteCount = 0
    /// Bytes that were given for larger frames but for the exempt client's.
    private(set) var largeByteCount = 0
    /// The client whose frame has memory of its own.
    private(set) var exempt: UInt64?
    /// Clients that were refused, in the order in which they will be asked.
    private(set) var waiting: [UInt64] = []
    /// So many of them, at the front, have sent whole frames before.
    private var provenCount = 0

    /// - Parameter memoryLimit: Of the coordinator. An eighth of it is for ordinary frames and a
    ///   quarter for larger ones, the exempt one included.
    init(memoryLimit: Int) {
        ordinaryByteCountMax = memoryLimit / 8
        largeByteCountMax = max(0, memoryLimit / 4 - Limits.frameBodyByteCountMax)
    }

    /// Somebody waits for memory.
    var isContended: Bool { !waiting.isEmpty }

    /// Gives a client memory for a frame, or lets it wait for its turn.
    ///
    /// - Parameters:
    ///   - client: Who asks.
    ///   - byteCount: Bytes that it wants to hold in all.
    ///   - frameByteCount: Bytes of the whole frame.
    ///   - isProven: It has sent whole frames before.
    /// - Returns: Whether it may hold that much; if not, it is in `waiting`.
    mutating func grant(
        _ client: UInt64,
        _ byteCount: Int,
        of frameByteCount: Int,
        isProven: Bool
    ) -> Bool {
        if byteCount <= Limits.connectionByteCount {
            release(client)
            return true
        }
        guard exempt != client else { return true }
        let previous = take(client)
        if frameByteCount <= Limits.firstFrameGrantByteCount,
            ordinaryByteCount + byteCount <= ordinaryByteCountMax
        {
            put(client, Grant(isOrdinary: true, byteCount: byteCount))
        } else if largeByteCount + byteCount <= largeByteCountMax {
            put(client, Grant(isOrdinary: false, byteCount: byteCount))
        } else if exempt == nil, waiting.first ?? client == client {
            exempt = client
        } else {
            if let previous { put(client, previous) }
            wait(client, isProven: isProven)
            return false
        }
        stopWaiting(client)
        return true
    }

    /// The client's frame is gone, or it is.
    mutating func release(_ client: UInt64) {
        if exempt == client { exempt = nil }
        guard !grants.isEmpty || !waiting.isEmpty else { return }
        _ = take(client)
        stopWaiting(client)
    }

    /// What to grant next to a client that was granted `granted` bytes for a frame of `byteCount`.
    ///
    /// Doubles, so that a frame that is only announced takes little, and copying stays linear.
    static func step(granted: Int, of byteCount: Int) -> Int {
        min(byteCount, max(granted * 2, Limits.firstFrameGrantByteCount))
    }

    /// Counts a grant; the client has none.
    private mutating func put(_ client: UInt64, _ grant: Grant) {
        grants[client] = grant
        if grant.isOrdinary {
            ordinaryByteCount += grant.byteCount
        } else {
            largeByteCount += grant.byteCount
        }
    }

    /// Takes a client's grant back; nil when it has none.
    private mutating func take(_ client: UInt64) -> Grant? {
        guard let grant = grants.removeValue(forKey: client) else { return nil }
        if grant.isOrdinary {
            ordinaryByteCount -= grant.byteCount
        } else {
            largeByteCount -= grant.byteCount
        }
        return grant
    }

    /// Puts a client into the queue, unless it stands there.
    private mutating func wait(_ client: UInt64, isProven: Bool) {
        guard !waiting.contains(client) else { return }
        waiting.insert(client, at: isProven ? provenCount : waiting.count)
        if isProven { provenCount += 1 }
    }

    /// Takes a client out of the queue.
    private mutating func stopWaiting(_ client: UInt64) {
        guard let index = waiting.firstIndex(of: client) else { return }
        waiting.remove(at: index)
        if index < provenCount { provenCount -= 1 }
    }
}
