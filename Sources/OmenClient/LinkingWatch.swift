internal import OmenCore
internal import OmenWire

/// Sees whether a cluster goes on linking vectors: as long as it does, a write that was refused
/// because too many wait is worth repeating.
struct LinkingWatch {
    /// What moves when anything is linked, deleted or built on one shard.
    private struct Position: Equatable {
        var linked: UInt64
        var rows: UInt64
        var deleted: UInt64
        var building: Int?
    }

    /// Time between two questions.
    static let interval = Duration.milliseconds(500)

    private var positions: [[Position]] = []
    /// When something last moved.
    private(set) var movedAt = ContinuousClock.now
    /// Rows of all collections that wait to be linked.
    private(set) var waitingCount: UInt64 = 0
    /// Whether there is anything that could move.
    private(set) var canMove = false

    /// Takes an answer to `status`.
    mutating func note(_ status: ClusterStatus, now: ContinuousClock.Instant = .now) {
        let collections = status.workers.map { $0.shardStatus?.collections ?? [] }
        let found = collections.map { parts in
            parts.map { part in
                Position(
                    linked: part.linked,
                    rows: part.rows,
                    deleted: part.deleted,
                    building: part.building
                )
            }
        }
        if found != positions { noteMove(now: now) }
        positions = found
        let all = found.joined()
        waitingCount = all.reduce(0) { $0 &+ ($1.rows - min($1.rows, $1.linked)) }
        canMove = waitingCount > 0 || all.contains { $0.building != nil }
    }

    /// Notes that something moved: a write was taken, too.
    mutating func noteMove(now: ContinuousClock.Instant = .now) { movedAt = now }
}
