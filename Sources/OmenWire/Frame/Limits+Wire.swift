package import OmenCore

extension Limits {
    /// Longest text of an error in a frame, in UTF-8 bytes; longer ones are cut when encoded.
    package static let errorMessageByteCountMax = 4096
    /// A frame that has grown beyond this many bytes takes no further message, so that the receiver
    /// can begin before everything has arrived.
    package static let frameBodyByteCountTarget = 1 << 20
    /// A connection's decoder gives buffers larger than this back once they are empty.
    package static let decoderBufferByteCountKept = 1 << 20
    /// Most bytes of a reply that comes in chunks, and on one connection of all replies whose last
    /// chunk has not come: the receiver keeps them until then.
    package static let replyByteCountMax = 256 << 20
    /// A chunk of a reply takes no further record when it would grow beyond this many bytes.
    static let replyChunkByteCountTarget = 1 << 20
    /// Largest vector of a record in bytes.
    package static let vectorByteCountMax = dimensionMax * 4
}
