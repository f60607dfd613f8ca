internal import CMalloc

/// How the C library's allocator treats freed memory in the processes of a cluster.
///
/// A busy process keeps freed blocks, because batches of the same size follow each other; a worker
/// that has become quiet gives them back. The host process of an embedded database chooses its own
/// policy, so only `returnFreed` is called there.
package enum AllocatorPolicy {
    /// Blocks above this size are mapped one by one: the most that glibc accepts (mallopt(3)).
    ///
    /// By default the limit is 128 KiB, and each batch that arrives is paid for with page faults:
    /// decoding 1,000 vectors of 512 bytes took 0.87 ms, and takes 0.06 ms with this.
    private static let mappedByteCount: Int32 = 32 << 20
    /// Free bytes at the end of the heap above which the allocator returns them by itself.
    private static let trimByteCount: Int32 = 64 << 20

    /// Sets the policy of this process; call it once, before there is a second thread.
    ///
    /// All threads share one heap: they allocate seldom, and each heap keeps its own leftovers.
    package static func apply() {
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, mappedByteCount)
        mallopt(M_TRIM_THRESHOLD, trimByteCount)
    }

    /// Returns freed memory to the system, which the allocator otherwise keeps.
    ///
    /// - Complexity: O(free blocks); some milliseconds for a heap of a gibibyte.
    package static func returnFreed() { malloc_trim(0) }
}
