internal import OmenCore

/// The memory for clients' requests in flight and for answers that they have not taken.
///
/// Three eighths of the coordinator's limit. The upper half of them is for clients that use nothing
/// yet, so that greedy clients leave room for polite ones. A client over its share is not refused:
/// it is not handled further until it has taken answers, or its requests are done.
struct MemoryBudget: Equatable, Sendable {
    /// Most bytes for all clients together.
    let byteCountMax: Int
    /// Most bytes for one client, unless one request of it takes more.
    let clientByteCountMax: Int
    /// Charged for requests in flight, what their answers may need included.
    private(set) var requestByteCount = 0
    /// Answers that wait to be taken.
    private(set) var replyByteCount = 0

    /// A budget of which nothing is used.
    ///
    /// - Parameter memoryLimit: What the coordinator may hold for its clients, in bytes.
    init(memoryLimit: Int) {
        byteCountMax = memoryLimit / 8 * 3
        clientByteCountMax = memoryLimit / 8
    }

    /// Bytes that are used for all clients.
    var usedByteCount: Int { requestByteCount + replyByteCount }

    /// So much is used that clients who do not take their answers have to go.
    var isContended: Bool { usedByteCount > byteCountMax / 2 }

    /// Whether the next request, of `byteCount` bytes, of a client that uses `used` is handled now.
    ///
    /// A client that uses nothing is always handled, so that everybody gets an answer; what does
    /// not fit is refused then.
    func mayHandle(byteCount: Int, used: Int) -> Bool {
        used == 0
            || used + byteCount <= clientByteCountMax
                && usedByteCount + byteCount <= byteCountMax / 2
    }

    /// Whether a request that is charged with `byteCount` fits.
    ///
    /// One that is larger than everything is taken alone rather than never.
    func hasRoom(for byteCount: Int) -> Bool {
        guard byteCount > Limits.smallRequestByteCountMax else {
            return usedByteCount + byteCount <= byteCountMax
        }
        return requestByteCount == 0 && usedByteCount <= byteCountMax / 2
            || usedByteCount + byteCount <= byteCountMax - byteCountMax / 8
    }

    /// A request takes bytes, or more of them.
    mutating func charge(_ byteCount: Int) { requestByteCount += byteCount }

    /// A request that was charged with the bytes is done.
    mutating func settle(_ byteCount: Int) { requestByteCount -= byteCount }

    /// A client's waiting answers changed by this number of bytes.
    mutating func changeReplies(by byteCount: Int) { replyByteCount += byteCount }
}
