/// What an acknowledged write survives.
///
/// In every mode `write(2)` precedes the acknowledgement, so the death of processes loses nothing;
/// the modes differ in what a power cut may take.
package enum Durability: Equatable, Sendable {
    /// Each acknowledgement waits for the sync that covers it.
    case always
    /// The log is synced this often; a power cut loses at most that much, and always a suffix.
    case interval(milliseconds: Int)
    /// The system decides when to write back.
    case none
}
