/// Tells a torn tail, which was never acknowledged, from damage to durable bytes.
///
/// At a bad frame in the last segment the reader looks on, byte by byte, for heads that pass their
/// own checksum. One that calls the expected LSN durable proves that durable bytes are damaged. A
/// whole frame that starts at the expected LSN proves that only a mark was damaged. With neither,
/// the bad frame is the unfinished end. What cannot be told: damage to the very last batch before
/// any mark that covers it looks like an unfinished write.
///
/// Anything bad in an earlier segment is damage, see `LogScanner`.
extension LogWalk {
    /// What a bad frame in the last segment is.
    enum BadFrame {
        /// Durable bytes were damaged.
        case damage
        /// An unfinished write, with which the log ends.
        case tornTail
        /// A mark, of which nothing is lost: the expected LSN goes on at this offset.
        case lostMark(Int)
    }

    /// Looks behind the bad frame at `offset` for proof of what it was.
    ///
    /// Heads count as proof even where their payload is bad: they tell what was durable when they
    /// were written. Their seed is secret and random, so no client's bytes pass for one.
    /// - Complexity: O(bytes behind the offset).
    func judgeBadFrame() -> BadFrame {
        var place = offset
        while let found = LogFrame.nextMagic(in: segment.bytes, from: place) {
            place = found + 1
            guard let frame = LogFrame(segment.bytes, at: found, seed: seed) else { continue }
            if found > offset && goodFrame(at: found, previous: nil) != nil {
                return .lostMark(found)
            }
            if frame.durableLSN >= nextLSN { return .damage }
        }
        return .tornTail
    }
}
