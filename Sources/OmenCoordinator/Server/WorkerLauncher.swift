package import OmenCore
internal import OmenLoop

/// Starts the processes of workers, each with one end of a socket pair to the coordinator.
package struct WorkerLauncher: Sendable {
    /// What the processes run; usually the coordinator's own executable.
    private let executable: String
    /// The data directory of the cluster.
    private let dataDirectory: String
    /// What an acknowledged write has to survive.
    private let durability: Durability

    /// A launcher for one cluster.
    ///
    /// - Parameters:
    ///   - executable: Path of a program with the command `WorkerOrders.command`.
    ///   - dataDirectory: The data directory of the cluster.
    ///   - durability: What an acknowledged write has to survive.
    package init(executable: String, dataDirectory: String, durability: Durability = .always) {
        self.executable = executable
        self.dataDirectory = dataDirectory
        self.durability = durability
    }

    /// Starts a process.
    ///
    /// - Parameters:
    ///   - replica: The replica that it serves.
    ///   - incarnation: The number of the process.
    ///   - epoch: The name of the process in frames.
    ///   - acceptsLoss: Whether it goes on with what is left of the shard's files.
    ///   - loop: The loop that watches the process.
    ///   - onExit: Exit status and, if one killed it, the signal; called once, from the loop.
    /// - Returns: The process, and the connection to it, which reads nothing yet.
    /// - Throws: `.ioFailure` or `.unavailable` when the system cannot start it.
    func launch(
        replica: ReplicaID,
        incarnation: UInt64,
        epoch: UInt64,
        acceptsLoss: Bool,
        on loop: EventLoop,
        onExit: @escaping (_ status: Int64, _ signal: Int32) -> Void
    ) throws(OmenError) -> (process: ChildProcess, connection: StreamConnection) {
        let orders = WorkerOrders(
            shard: UInt32(replica.shard),
            dataDirectory: dataDirectory,
            incarnation: incarnation,
            epoch: epoch,
            acceptsLoss: acceptsLoss,
            durability: durability
        )
        let pair = try EventLoop.socketPair()
        // The child has its own copy, and holding ours would hide its end.
        defer { EventLoop.close(descriptor: pair.childs) }
        let connection: StreamConnection
        do throws(OmenError) {
            connection = try loop.adopt(descriptor: pair.ours)
        } catch {
            EventLoop.close(descriptor: pair.ours)
            throw error
        }
        do throws(OmenError) {
            let process = try loop.spawn(
                executable: executable,
                arguments: [WorkerOrders.command] + orders.arguments,
                inherit: [WorkerOrders.descriptor: pair.childs],
                onExit: onExit
            )
            return (process, connection)
        } catch {
            connection.abort()
            throw error
        }
    }
}
