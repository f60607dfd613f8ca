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

    /// How often the log is synced under `interval` where nobody says otherwise, in milliseconds.
    private static let standardInterval = 100

    /// The mode with a name, as users write it.
    ///
    /// - Parameters:
    ///   - name: `always`, `interval` or `none`.
    ///   - intervalMilliseconds: Time between syncs under `interval`; nil for the standard.
    /// - Throws: `.badRequest` for another name.
    package init(named name: String, intervalMilliseconds: Int?) throws(OmenError) {
        switch name {
        case "always": self = .always
        case "interval":
            self = .interval(milliseconds: intervalMilliseconds ?? Self.standardInterval)
        case "none": self = .none
        default:
            throw OmenError(
                .badRequest,
                "durability is '\(name)', expected always, interval or none"
            )
        }
    }

    /// The name that users write.
    package var name: String {
        switch self {
        case .always: "always"
        case .interval: "interval"
        case .none: "none"
        }
    }
}
