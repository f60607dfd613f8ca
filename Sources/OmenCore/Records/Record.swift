/// What is stored under one id.
///
/// Metadata is JSON text as it was given, nil without any; the vector, elements without padding, is
/// there when it was asked for.
package struct Record: Equatable, Sendable {
    package var id: RecordID
    package var metadata: [UInt8]?
    package var vector: [UInt8]?
    /// When it was written, see `WriteVersions`; nil where the record came over a socket, whose
    /// protocol does not tell.
    package var version: UInt64?

    package init(
        id: RecordID,
        metadata: [UInt8]?,
        vector: [UInt8]?,
        version: UInt64? = nil
    ) {
        self.id = id
        self.metadata = metadata
        self.vector = vector
        self.version = version
    }
}
