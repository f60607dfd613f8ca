/// What happens next in virtual time: a binary heap ordered by time, then by order of scheduling.
struct EventQueue {
    typealias Action = () -> Void

    private struct Entry {
        var time: UInt64
        var order: UInt64
        var action: Action

        func precedes(_ other: Entry) -> Bool {
            time != other.time ? time < other.time : order < other.order
        }
    }

    private var heap: [Entry] = []
    private var order: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }

    mutating func schedule(at time: UInt64, _ action: @escaping Action) {
        order += 1
        heap.append(Entry(time: time, order: order, action: action))
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (time: UInt64, action: Action)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return (first.time, first.action) }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].precedes(heap[least]) {
                least = child
            }
            if least == parent { return (first.time, first.action) }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
