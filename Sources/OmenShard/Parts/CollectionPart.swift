internal import OmenCore
internal import OmenStorage

/// The numbers of a part's sections in shard files; append, never renumber.
protocol PartSection: RawRepresentable, CaseIterable, Sendable where RawValue == UInt32 {
    /// Whether the section is too large to be checked when a file is opened.
    var isLazy: Bool { get }
}

/// One of the structures that make up a collection and share its row numbers.
///
/// Every collection has an index, which decides the order of rows in a build, and records, which
/// know the ids of rows. All other parts are derived from what was written, see `DerivedPart`.
/// `PartTypes` lists them. Checkpoint, opening, deferred check, limits and memory accounting treat
/// all parts alike, through this protocol; writes and searches reach index and records directly.
///
/// A part belongs to the thread that owns its shard. What it hands to another thread is a value
/// that stands still.
protocol CollectionPart: AnyObject, SendableMetatype {
    /// The sections that the part writes to a shard file.
    associatedtype Section: PartSection
    /// What a checkpoint writes of the part.
    associatedtype Frozen: FrozenPart
    /// How many addresses the part has, see `release(to:)`.
    associatedtype Capacity: Equatable

    /// The range of `SectionRange` that all numbers of `Section` lie in.
    static var sectionRange: ClosedRange<UInt32> { get }

    /// Makes a part without rows.
    ///
    /// - Parameters:
    ///   - collection: The name of the collection.
    ///   - schema: The schema of the collection.
    /// - Throws: `.resourceExhausted` without address space.
    init(emptyFor collection: String, schema: CollectionSchema) throws(OmenError)

    /// Opens the part of a shard file.
    ///
    /// Opening maps sections and builds nothing, so that its time does not depend on the rows.
    /// Deferred sections are left to `deferredCheck(of:)`; the bytes of others are checked here.
    /// - Parameter source: The sections of the file.
    /// - Throws: `.corrupt` when sections contradict each other; `.unsupportedVersion` for another
    ///   format; `.resourceExhausted` without address space.
    init(opening source: PartSource) throws(OmenError)

    /// Rows of the part, deleted ones included; equal in all parts of a collection.
    var rowCount: Int { get }

    /// Makes the check of what `init(opening:)` left unchecked; called right after it.
    ///
    /// - Parameter source: The sections that the part was opened from.
    /// - Returns: The check; nil when checksums are all that is left.
    func deferredCheck(of source: PartSource) -> (any SectionCheck)?

    /// Takes a picture of the part for a checkpoint.
    ///
    /// Until `thaw` another thread reads the picture; writes and searches go on. The owner of the
    /// shard waits for this call, so that large work belongs to `FrozenPart.sections`.
    /// - Returns: The picture.
    func freeze() -> Frozen

    /// Ends what `freeze` began, after the other thread is done with the picture or has failed.
    ///
    /// A part that is not frozen stays as it is.
    func thaw()

    // MARK: Limits

    /// Tells whether the part can take more rows.
    ///
    /// - Parameters:
    ///   - rowCount: The rows to come.
    ///   - byteCount: The bytes of their ids, and also the bytes of their metadata, at most.
    /// - Returns: Whether they all fit.
    func hasRoom(forRows rowCount: Int, bytes byteCount: Int) -> Bool

    /// The addresses that the part has now.
    var capacity: Capacity { get }

    /// Makes room for everything that was promised: appending it then needs no more addresses.
    ///
    /// - Parameters:
    ///   - promise: Counts of the whole collection.
    ///   - isAmple: Whether to make room for more than that where addresses are left.
    /// - Throws: `.resourceExhausted` naming the limit.
    func reserve(_ promise: Promise, isAmple: Bool) throws(OmenError)

    /// Gives addresses back that came since `capacity` was taken; no row came meanwhile.
    func release(to capacity: Capacity)

    // MARK: Memory

    /// Tells the memory that each row needs for fast answers, without its metadata.
    ///
    /// - Parameter schema: The schema of the collection.
    /// - Returns: Bytes.
    static func residentByteCountPerRow(_ schema: CollectionSchema) -> Int

    /// Tells how much of a file must be in memory for fast answers; by default, all sections of
    /// the part.
    ///
    /// - Parameter file: A file that has sections of the part.
    /// - Returns: Bytes.
    static func residentByteCount(of file: ShardFile) -> Int
}

extension CollectionPart {
    /// The numbers of the part's sections.
    static var kinds: [UInt32] { Section.allCases.map(\.rawValue) }

    /// Whether a file has no section of the part: it was written before there was one.
    static func lacksSections(in file: ShardFile) -> Bool {
        !file.kinds.contains { kinds.contains($0) }
    }

    static func residentByteCount(of file: ShardFile) -> Int {
        kinds.reduce(0) { $0 + (file.byteCount(of: $1) ?? 0) }
    }

    func deferredCheck(of source: PartSource) -> (any SectionCheck)? { nil }

    func thaw() {}

    /// Makes room as `reserve` does, and leaves the part as it was when that fails.
    ///
    /// - Parameters:
    ///   - promise: Counts of the whole collection.
    ///   - isAmple: Whether to make room for more than that where addresses are left.
    /// - Returns: What gives the room back; nil when there was enough.
    /// - Throws: `.resourceExhausted` naming the limit.
    func makeRoom(for promise: Promise, isAmple: Bool) throws(OmenError) -> (() -> Void)? {
        let before = capacity
        do throws(OmenError) {
            try reserve(promise, isAmple: isAmple)
        } catch {
            release(to: before)
            throw error
        }
        guard capacity != before else { return nil }
        return { self.release(to: before) }
    }
}

/// A part that is derived from the records that are written, such as an index over their metadata.
///
/// The parts that know ids and order tell it what happens to rows; it decides neither. Adding such
/// a part means to write one type and to name it in `PartTypes.standard`.
protocol DerivedPart: CollectionPart {
    /// Rows that another thread may read while the part goes on.
    associatedtype Rows: Sendable

    /// Appends a row for each record of a validated batch.
    ///
    /// - Parameter batch: Records whose ids all differ.
    /// - Throws: `.resourceExhausted` at a limit; the shard must then be opened again.
    func append(_ batch: UpsertBatch) throws(OmenError)

    /// Hides rows that were deleted or replaced; their numbers stay taken until the next build.
    ///
    /// The index marks deleted rows for all parts, so that by default nothing is done.
    /// - Parameter rows: Rows that were not hidden before.
    func hide(_ rows: [UInt32])

    // MARK: Builds

    /// The rows there are now.
    ///
    /// A build reads them on its own thread, so they must never change. The owner of the shard
    /// waits for this call.
    var rows: Rows { get }

    /// Makes a part with the rows of another one, under new numbers.
    ///
    /// - Parameters:
    ///   - sources: The old number of each row.
    ///   - rows: The rows of the other part.
    ///   - breathe: Has to be called every few microseconds.
    /// - Throws: `.resourceExhausted` without address space or memory.
    init(copying sources: [UInt32], of rows: Rows, breathe: () -> Void) throws(OmenError)

    /// Appends rows of another part of the same collection, in that order.
    ///
    /// - Parameters:
    ///   - rows: Rows of `other`.
    ///   - other: The part that a build replaces.
    /// - Throws: `.resourceExhausted` at a limit; the build is then given up.
    func append(_ rows: [UInt32], of other: Self) throws(OmenError)

    /// Bytes that a copy of the live rows takes in a build.
    var copyByteCount: Int { get }
}

extension DerivedPart {
    func hide(_ rows: [UInt32]) {}

    /// Appends rows of a part whose type the caller does not know.
    ///
    /// - Parameters:
    ///   - rows: Rows of `other`.
    ///   - other: A part of the same type.
    /// - Throws: What `append(_:of:)` throws.
    func append(_ rows: [UInt32], ofPart other: any DerivedPart) throws(OmenError) {
        guard let other = other as? Self else {
            preconditionFailure("\(type(of: other)) in the place of \(Self.self)")
        }
        try append(rows, of: other)
    }

    /// A copy of the rows there are now, still to be made.
    var copying: PartCopying {
        let rows = rows
        return { sources, breathe throws(OmenError) in
            try Self(copying: sources, of: rows, breathe: breathe)
        }
    }
}

/// Copies the rows of a derived part on any thread; takes the old number of each row, and what has
/// to be called every few microseconds.
typealias PartCopying =
    @Sendable (_ sources: [UInt32], _ breathe: () -> Void) throws(OmenError) -> any DerivedPart
