package import OmenCore

extension Limits {
    /// Longest text of an error in a frame, in UTF-8 bytes; longer ones are cut when encoded.
    package static let errorMessageByteCountMax = 4096
    /// A frame that has grown beyond this many bytes takes no further message, so that the receiver
    /// can begin before everything has arrived.
    package static let frameBodyByteCountTarget = 1 << 20
    /// A connection's decoder gives buffers larger than this back once they are empty.
    package static let decoderBufferByteCountKept = 1 << 20
    /// Largest vector of a record in bytes.
    package static let vectorByteCountMax = dimensionMax * 4
}
