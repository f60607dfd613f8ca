internal import OmenCore
internal import OmenStorage
internal import OmenSystem
internal import Synchronization

/// The sections that opening a shard did not check, checked soon after and before anything that
/// comes out of them is written to a file.
///
/// Rows, links and ids are most of a shard file; reading them all would make opening as slow as the
/// file is large. Each call of `step` checks the next block: a background thread calls it with
/// pauses, and so does a checkpoint, which cannot wait for that thread. Safe on any thread.
final class DeferredCheck: Sendable {
    /// One file, and what its parts ask of it besides checksums.
    struct UncheckedFile {
        /// The check of the checksums.
        var check: ShardFileCheck
        /// Called with each block whose checksum holds.
        var parts: [any SectionCheck]
    }

    private struct CheckState: ~Copyable {
        /// The file at the end is being checked.
        var files: [UncheckedFile]
        var failure: OmenError?
    }

    private let state: Mutex<CheckState>
    private let shouldStop = Atomic<Bool>(false)

    /// Time to rest in nanoseconds, so that other threads wait for a block at most: some 30 us of
    /// checksum.
    private static let pause: UInt64 = 500_000
    /// Blocks between two pauses: about 1 GB/s, from files in the page cache.
    private static let blocksPerPause = 4
    /// The first searches come before the first block, this many nanoseconds later.
    private static let delay: UInt64 = 100_000_000
    /// Longest sleep between two looks whether to stop, in nanoseconds.
    private static let sleepMax: UInt64 = 10_000_000

    /// Begins a check.
    ///
    /// - Parameter files: The files, each just opened.
    init(_ files: [UncheckedFile]) {
        state = Mutex(CheckState(files: files, failure: nil))
    }

    /// Checks the next block.
    ///
    /// - Returns: Whether there may be more.
    /// - Throws: `.corrupt` naming the file, the first time and on every later call.
    func step() throws(OmenError) -> Bool {
        // `withLock` does not carry typed throws, so the outcome travels as a value.
        let outcome: Result<Bool, OmenError> = state.withLock { state in
            if let failure = state.failure { return .failure(failure) }
            guard !state.files.isEmpty else { return .success(false) }
            do throws(OmenError) {
                let last = state.files.count - 1
                if try !state.files[last].next() { state.files.removeLast() }
                return .success(true)
            } catch {
                state.failure = error
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    /// Checks all that is left.
    func finish() throws(OmenError) { while try step() {} }

    /// Makes `run` return soon.
    func stop() { shouldStop.store(true, ordering: .relaxed) }

    /// Checks everything in slices, leaving the processor to others between them.
    ///
    /// - Parameter time: What it sleeps by.
    /// - Returns: Whether it came to the end; false when it was stopped.
    /// - Throws: What `step` throws.
    func run(_ time: TimeSource) throws(OmenError) -> Bool {
        var rest = Self.delay
        var blocks = 0
        while true {
            if rest > 0 {
                let slice = min(rest, Self.sleepMax)
                time.sleep(nanoseconds: slice)
                rest -= slice
            }
            if shouldStop.load(ordering: .relaxed) { return false }
            guard rest == 0 else { continue }
            guard try step() else { return true }
            blocks += 1
            if blocks % Self.blocksPerPause == 0 { rest = Self.pause }
        }
    }
}

extension DeferredCheck.UncheckedFile {
    /// - Returns: Whether there was another block.
    fileprivate mutating func next() throws(OmenError) -> Bool {
        let path = check.path
        var parts = parts
        defer { self.parts = parts }
        do throws(OmenError) {
            let isNext = try check.next { kind, offset, bytes throws(OmenError) in
                for place in parts.indices { try parts[place].add(bytes, of: kind, at: offset) }
            }
            if !isNext { for part in parts { try part.finish() } }
            return isNext
        } catch {
            guard !error.message.contains(path) else { throw error }
            throw OmenError(error.code, "\(path): \(error.message)")
        }
    }
}
