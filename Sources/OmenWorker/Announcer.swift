internal import Glibc
internal import OmenShard
internal import OmenWire

/// Tells the coordinator about the opening of the shard, before the loop runs.
///
/// Blocking writes are right here: nothing else can be done until the shard is open.
struct Announcer {
    private let configuration: WorkerServer.Configuration

    init(_ configuration: WorkerServer.Configuration) { self.configuration = configuration }

    func send(
        _ state: WorkerState,
        replayed: UInt64 = 0,
        reason: String = ""
    ) {
        var encoder = FrameEncoder(configuration.scope)
        let announcement = WorkerAnnouncement(
            shard: configuration.shard.shard,
            incarnation: configuration.incarnation,
            state: state,
            replayed: replayed,
            reason: reason
        )
        encoder.append(Envelope(requestID: 0, message: .announcement(announcement)))
        let bytes = encoder.finish()
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(
                    configuration.descriptor,
                    buffer.baseAddress.map { $0 + sent },
                    bytes.count - sent
                )
            }
            guard count > 0 else {
                // A coordinator that is gone needs no news: the loop will see the end of the
                // socket.
                if count < 0, errno == EINTR { continue }
                return
            }
            sent += count
        }
    }
}
