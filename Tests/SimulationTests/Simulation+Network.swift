import OmenCoordinator
import OmenCore
import OmenWire

/// The network: messages of one stream arrive in order, each after a time of its own.
extension Simulation {
    func deliver(_ stream: String, _ action: @escaping () -> Void) {
        let time = max(arrivals[stream] ?? 0, now + draw(10_000...2_000_000))
        arrivals[stream] = time
        queue.schedule(at: time, action)
    }

    func connect(_ client: any SimulatedCaller) {
        guard core != nil else {
            schedule(after: draw(1_000_000...20_000_000)) { self.connect(client) }
            return
        }
        nextConnection += 1
        connections[nextConnection] = client
        feed(.clientConnected(client: nextConnection))
        client.connected(nextConnection)
    }

    func fromClient(_ client: any SimulatedCaller, _ envelope: Envelope) {
        guard let connection = client.connection else { return }
        let epoch = epoch
        deliver("c\(connection)") {
            guard self.epoch == epoch, self.connections[connection] != nil else { return }
            self.feed(.clientMessage(client: connection, envelope))
        }
    }

    func toClient(_ connection: UInt64, _ envelope: Envelope) {
        deliver("C\(connection)") {
            guard let client = self.connections[connection] else { return }
            self.note("to client \(connection) \(envelope.brief)")
            client.receive(envelope)
        }
    }

    func fromWorker(_ worker: SimulatedWorker, _ envelope: Envelope) {
        let epoch = epoch
        let (shard, incarnation) = (UInt32(worker.shard), worker.incarnation)
        deliver("w\(shard).\(incarnation).\(epoch)") {
            guard self.epoch == epoch else { return }
            self.note("from worker \(shard).\(incarnation) \(envelope.brief)")
            self.feed(
                .workerMessage(
                    replica: ReplicaID(shard: Int(shard)),
                    incarnation: incarnation,
                    envelope
                )
            )
        }
    }

    func toWorker(_ shard: Int, _ incarnation: UInt64, _ envelope: Envelope) {
        guard let worker = workers[shard], worker.incarnation == incarnation else { return }
        deliver("W\(shard).\(incarnation).\(epoch)") {
            self.note("to worker \(shard).\(incarnation) \(envelope.brief)")
            worker.receive(envelope)
        }
    }
}

extension Envelope {
    /// Enough of a message to tell two runs apart.
    fileprivate var brief: String {
        let what =
            switch message {
            case .written(let reply): "\(reply.counts)"
            case .records(let reply): "\(reply.records.count)"
            case .failure(let error): "\(error)"
            case .announcement(let announcement):
                "\(announcement.progress) \(announcement.collections.map(\.name))"
            default: ""
            }
        return "\(requestID) \(message.kind) \(what)"
    }
}
