/// How much of metadata is indexed, in one place, each with its unit and its reason.
///
/// What is beyond a limit is stored and can be filtered by all the same: the catalog tells in which
/// rows, so that only their metadata has to be read.
package enum MetadataLimits {
    /// Most paths of one catalog: more are a sign of names that are values.
    ///
    /// Those that most rows have are indexed.
    package static let pathCountMax = 128
    /// Most paths that are remembered while metadata is read, until it is known which these are.
    package static let pathCandidateCountMax = 1024
    /// Longest path, in bytes as `FilterPath` writes it.
    package static let pathByteCountMax = 1024
    /// Most names of a path that is indexed.
    package static let depthMax = 8
    /// Longest string that is a key, in bytes of UTF-8; longer ones are texts.
    package static let stringByteCountMax = 256
    /// Most elements of one list that are indexed.
    package static let elementCountMax = 1024
    /// Bytes that a catalog may take for each row, on average.
    ///
    /// The largest paths go without keys where it would take more.
    package static let byteCountPerRowMax = 64
    /// Bytes that a catalog may take whatever its rows: small ones are mostly tables.
    package static let byteCountMin = 256 << 10
    /// Most paths without an index that a catalog names.
    package static let unindexedPathCountMax = 128
    /// Longest of them, in bytes.
    package static let unindexedPathByteCountMax = 256
}
