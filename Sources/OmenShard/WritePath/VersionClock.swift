internal import OmenCore

/// Gives each write of a shard its version, whatever the system's clock does.
struct VersionClock: Sendable {
    /// The last version that was given, or found in files.
    private(set) var last: UInt64
    /// The latest time that was told, in microseconds since 1970.
    private(set) var wallMicroseconds: UInt64 = 0

    /// - Parameter last: The largest version that the shard's files know.
    init(last: UInt64) { self.last = last }

    /// The version of the next write.
    ///
    /// - Parameter time: Microseconds since 1970 by the system's clock.
    /// - Returns: A number above every version given before.
    /// - Throws: `.corrupt` when there is no number left: then a file had one that no clock makes.
    mutating func next(at time: UInt64) throws(OmenError) -> UInt64 {
        // A clock that is set to a wrong millennium must not use up the numbers.
        let time = min(time, WriteVersions.limit / 2)
        let version = max(time, last + 1)
        guard version < WriteVersions.limit else {
            throw OmenError(.corrupt, "version \(last) of the last write leaves none for the next")
        }
        wallMicroseconds = max(wallMicroseconds, time)
        last = version
        return version
    }
}
