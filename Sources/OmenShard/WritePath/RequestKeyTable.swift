package import OmenCore
package import OmenStorage

/// Remembers which writes were applied, so that a retried one is answered, not repeated.
///
/// Holds the newest `capacity` applied keys in the order they were applied, which is the order of
/// LSNs: replaying the log rebuilds the same table. Writes of client 0 are never remembered.
package struct RequestKeyTable: Sendable {
    package enum State: Equatable {
        case unknown
        case pending
        case applied(WriteCounts)
    }

    private let capacity: Int
    private var states: [RequestKey: State] = [:]
    /// Applied keys, oldest first from `head` on; compacted when half of it is behind the head.
    private var order: [RequestKey] = []
    private var head = 0

    package init(capacity: Int = Limits.requestKeysRemembered) { self.capacity = capacity }

    package func state(of key: RequestKey) -> State { states[key] ?? .unknown }

    package mutating func begin(_ key: RequestKey) {
        guard key.client != 0 else { return }
        states[key] = .pending
    }

    /// The write will not be applied: a retry starts afresh.
    package mutating func forget(_ key: RequestKey) { states[key] = nil }

    /// - Complexity: O(1) amortised.
    package mutating func finish(_ key: RequestKey, _ counts: WriteCounts) {
        guard key.client != 0 else { return }
        states[key] = .applied(counts)
        order.append(key)
        guard order.count - head > capacity else { return }
        states[order[head]] = nil
        head += 1
        if head > capacity {
            order.removeFirst(head)
            head = 0
        }
    }

    /// The applied keys with their outcomes, oldest first.
    package var entries: [RememberedRequest] {
        order[head...].compactMap { key in
            guard case .applied(let counts) = state(of: key) else { return nil }
            return RememberedRequest(key: key, counts: counts)
        }
    }
}
