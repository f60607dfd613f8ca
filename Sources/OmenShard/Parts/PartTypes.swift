internal import OmenCore
internal import OmenIndex
internal import OmenStorage

/// The numbers of sections in shard files, by the part that they belong to: append, never renumber.
///
/// Each part numbers its sections inside its range, and has room there for more. The next ranges
/// are meant for an index over metadata, 64...95, and one over texts, 96...127.
enum SectionRange {
    static let index: ClosedRange<UInt32> = 1...31
    static let records: ClosedRange<UInt32> = 32...63
}

/// The types of the parts that each collection of a shard has.
struct PartTypes: Sendable {
    /// The parts of this build.
    static let standard = PartTypes(derived: [])

    /// The types besides index and records, in the order in which their sections are written.
    let derived: [any DerivedPart.Type]
    /// The numbers of all sections that a file may have.
    private let kinds: Set<UInt32>

    /// Lists types.
    ///
    /// - Parameter derived: The types besides index and records.
    /// - Precondition: No number of a section belongs to two of them.
    init(derived: [any DerivedPart.Type]) {
        self.derived = derived
        var kinds: Set<UInt32> = []
        for type in Self.all(derived) {
            for kind in type.kinds {
                precondition(
                    type.sectionRange.contains(kind) && kinds.insert(kind).inserted,
                    "section \(kind) of \(type) is outside its range or belongs to two parts"
                )
            }
        }
        self.kinds = kinds
    }

    private static func all(_ derived: [any DerivedPart.Type]) -> [any CollectionPart.Type] {
        [VectorIndex.self, RecordTable.self] + derived.map { $0 }
    }

    /// Checks that every section of a file belongs to a part.
    ///
    /// A section that is left out here would be missing in the next checkpoint.
    /// - Parameter file: An open file.
    /// - Throws: `.unsupportedVersion` naming the section.
    func checkKinds(of file: ShardFile) throws(OmenError) {
        guard let kind = file.kinds.first(where: { !kinds.contains($0) }) else { return }
        throw OmenError(
            .unsupportedVersion,
            "\(file.path): this build does not know sections of kind \(kind)"
        )
    }

    /// Tells the memory that each row of a collection needs for fast answers, without its metadata.
    ///
    /// - Parameter schema: The schema of the collection.
    /// - Returns: Bytes.
    func residentByteCountPerRow(_ schema: CollectionSchema) -> Int {
        Self.all(derived).reduce(0) { $0 + $1.residentByteCountPerRow(schema) }
    }

    /// Tells how much of a file must be in memory for its collection to answer fast.
    ///
    /// - Parameter file: An open file.
    /// - Returns: Bytes.
    func residentByteCount(of file: ShardFile) -> Int {
        Self.all(derived).reduce(0) { $0 + $1.residentByteCount(of: file) }
    }
}

extension CollectionSchema {
    /// Bytes of memory that each row of a collection needs, with its id but without metadata.
    package var residentByteCountPerRow: Int { PartTypes.standard.residentByteCountPerRow(self) }
}
