/// What a cluster remembers of one shard, apart from the shard's own files.
///
/// A directory of files cannot tell that it was emptied, or that all of it is a week old. So the
/// cluster's manifest records how far each shard had come, and opening compares: a shard whose
/// files are missing or older than its record is not served.
///
/// A record is a lower bound. It is written after the shard's own files, so that the shard may be
/// ahead of it after a crash, and never behind.
package struct ShardProgress: Equatable, Sendable {
    /// Names the shard's history; 0 for a shard that has not begun.
    ///
    /// Drawn when the shard begins, and again when an operator accepts a loss.
    package var history: UInt64
    /// Number of the shard's newest checkpoint, at least.
    package var generation: UInt64
    /// Every record of the log up to here was durable.
    package var durableLSN: UInt64

    /// A shard that has not begun: it may have no files, and holds nothing.
    package static let notBegun = ShardProgress(history: 0, generation: 0, durableLSN: 0)

    /// Bytes of every encoded progress.
    package static let byteCount = 24

    package init(history: UInt64, generation: UInt64, durableLSN: UInt64) {
        self.history = history
        self.generation = generation
        self.durableLSN = durableLSN
    }

    /// Whether the shard was ever served, so that its files must be there.
    package var hasBegun: Bool { history != 0 }

    /// Whether `other` is a later state of the same history, or the same one.
    package func isContinued(by other: ShardProgress) -> Bool {
        history == other.history && generation <= other.generation
            && durableLSN <= other.durableLSN
    }

    /// Layout: `UInt64` history, generation, durableLSN.
    package func encode(into writer: inout ByteWriter) {
        writer.write(history)
        writer.write(generation)
        writer.write(durableLSN)
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        history = try reader.read(UInt64.self)
        generation = try reader.read(UInt64.self)
        durableLSN = try reader.read(UInt64.self)
        // Both are counted on: the next must exist.
        guard generation < 1 << 62, durableLSN < 1 << 62 else {
            throw OmenError(.corrupt, "progress of a shard: \(description)")
        }
    }

    /// A new name for a history, from one random number; never 0.
    package static func history(from random: UInt64) -> UInt64 { max(1, random) }
}

extension ShardProgress: CustomStringConvertible {
    /// How far the shard had come, for messages.
    package var description: String { "generation \(generation), LSN \(durableLSN)" }
}
