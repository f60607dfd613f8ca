import OmenWire

/// Somebody on a connection to the coordinator who knows what was promised, one request at a time.
protocol SimulatedCaller: AnyObject {
    /// The coordinator's number of the connection; nil when there is none.
    var connection: UInt64? { get }
    /// Records whose writes were acknowledged.
    var acknowledged: Int { get }
    /// Whether everything is done but the last read.
    var isFinished: Bool { get }
    /// Whether the last read was answered in full.
    var isLastReadDone: Bool { get }

    func connected(_ connection: UInt64)
    func disconnected()
    func receive(_ envelope: Envelope)
    /// Reads everything once more, after the reply that is still awaited.
    func readAtTheEnd()
}
