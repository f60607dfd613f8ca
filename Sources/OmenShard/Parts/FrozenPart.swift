internal import OmenCore
internal import OmenStorage

/// The picture of one part that a checkpoint writes, on its own thread.
///
/// The picture keeps the memory that it shows. `CollectionPart.thaw` comes after the last call, so
/// that a part may take over what its picture made.
protocol FrozenPart: AnyObject, Sendable {
    /// Makes the sections to write; called once, on the thread of the checkpoint.
    ///
    /// - Parameter breathe: Has to be called every few microseconds in long work.
    /// - Returns: Non-empty sections, which stand still as long as the picture lives.
    /// - Throws: `.resourceExhausted` without memory; `.stopped`.
    func sections(breathe: () -> Void) throws(OmenError) -> [FileSection]

    /// Lets memory go that a durable file now holds; called once, on the thread of the checkpoint,
    /// and not at all when the checkpoint failed.
    ///
    /// - Parameter file: The file with the sections.
    /// - Throws: `.ioFailure` or `.resourceExhausted`; the part must be usable nevertheless.
    func release(to file: ShardFile) throws(OmenError)
}
