package import OmenCore

/// What a worker's process is told when it is started: the one place that knows the words of its
/// command line.
///
/// The coordinator writes the words and `omen-cluster worker` reads them; both are one build.
package struct WorkerOrders: Equatable, Sendable {
    /// The command of `omen-cluster` that runs a worker; the words follow it.
    package static let command = "worker"
    /// The descriptor at which a worker finds its connection to the coordinator.
    package static let descriptor: Int32 = 3

    /// Number of the shard that it serves.
    package var shard: UInt32
    /// The data directory of the cluster.
    package var dataDirectory: String
    /// Counts the processes of the shard's worker from 1.
    package var incarnation: UInt64
    /// Names the process in the header of every frame; see `FrameScope.epoch`.
    package var epoch: UInt64
    /// Whether it goes on with what is left of the shard's files.
    package var acceptsLoss: Bool
    /// What an acknowledged write has to survive.
    package var durability: Durability

    /// Orders for one process.
    ///
    /// - Parameters:
    ///   - shard: As the property.
    ///   - dataDirectory: As the property.
    ///   - incarnation: As the property.
    ///   - epoch: As the property.
    ///   - acceptsLoss: As the property.
    ///   - durability: As the property.
    package init(
        shard: UInt32,
        dataDirectory: String,
        incarnation: UInt64,
        epoch: UInt64,
        acceptsLoss: Bool,
        durability: Durability
    ) {
        self.shard = shard
        self.dataDirectory = dataDirectory
        self.incarnation = incarnation
        self.epoch = epoch
        self.acceptsLoss = acceptsLoss
        self.durability = durability
    }

    /// The words of the command line.
    private enum Word: String, CaseIterable {
        /// Number of the shard.
        case shard = "--shard"
        /// Path of the data directory.
        case data = "--data"
        /// Number of the process.
        case incarnation = "--incarnation"
        /// Name of the process in frames.
        case epoch = "--epoch"
        /// Stands for itself, without a value.
        case acceptsLoss = "--accepts-loss"
        /// Name of the mode.
        case durability = "--durability"
        /// Milliseconds between syncs, of the mode `interval`.
        case interval = "--durability-interval-ms"
    }

    /// The words that follow the command.
    package var arguments: [String] {
        let loss = acceptsLoss ? [Word.acceptsLoss.rawValue] : []
        return [
            Word.shard.rawValue, "\(shard)", Word.data.rawValue, dataDirectory,
            Word.incarnation.rawValue, "\(incarnation)", Word.epoch.rawValue, "\(epoch)",
        ] + loss + durability.arguments
    }

    /// Reads the words that follow the command.
    ///
    /// - Parameter arguments: As the property `arguments` gives them, in any order.
    /// - Throws: `.badRequest` for a word that is unknown, missing or no number.
    package init(arguments: [String]) throws(OmenError) {
        var values: [Word: String] = [:]
        var rest = arguments[...]
        while let text = rest.popFirst() {
            guard let word = Word(rawValue: text) else {
                throw OmenError(.badRequest, "a worker knows no '\(text)'")
            }
            guard word != .acceptsLoss else {
                values[word] = ""
                continue
            }
            guard let value = rest.popFirst() else {
                throw OmenError(.badRequest, "\(text) of a worker has no value")
            }
            values[word] = value
        }
        shard = try Self.number(.shard, values)
        incarnation = try Self.number(.incarnation, values)
        epoch = try Self.number(.epoch, values)
        dataDirectory = try Self.text(.data, values)
        acceptsLoss = values[.acceptsLoss] != nil
        let interval: Int? = values[.interval] == nil ? nil : try Self.number(.interval, values)
        durability = try Durability(
            named: try Self.text(.durability, values),
            intervalMilliseconds: interval
        )
    }

    /// The value of a word that must be there.
    private static func text(_ word: Word, _ values: [Word: String]) throws(OmenError) -> String {
        guard let value = values[word] else {
            throw OmenError(.badRequest, "a worker is not told \(word.rawValue)")
        }
        return value
    }

    /// The value of a word that must be there and a number.
    private static func number<Number: FixedWidthInteger>(
        _ word: Word,
        _ values: [Word: String]
    ) throws(OmenError) -> Number {
        let text = try text(word, values)
        guard let number = Number(text) else {
            throw OmenError(.badRequest, "\(word.rawValue) of a worker is '\(text)', no number")
        }
        return number
    }
}

extension Durability {
    /// The words that tell it to another process of the cluster, coordinator or worker.
    package var arguments: [String] {
        let name = ["--durability", name]
        guard case .interval(let milliseconds) = self else { return name }
        return name + ["--durability-interval-ms", "\(milliseconds)"]
    }
}
