/// What is stored under one id.
///
/// Metadata is JSON text as it was given, nil without any; the vector, elements without padding, is
/// there when it was asked for.
package struct Record: Equatable, Sendable {
    package var id: RecordID
    package var metadata: [UInt8]?
    package var vector: [UInt8]?

    package init(id: RecordID, metadata: [UInt8]?, vector: [UInt8]?) {
        self.id = id
        self.metadata = metadata
        self.vector = vector
    }
}
