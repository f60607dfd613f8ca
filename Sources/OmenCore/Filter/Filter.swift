/// A condition on the metadata of records: which of them a request is about.
///
///     try Filter(json: Array(#"{"section": "science", "size": {"$gte": 1000}}"#.utf8))
///     try Filter(where: Array("section = 'science' and size >= 1000".utf8))
///
/// Both forms make the same tree; `docs/FILTERS.md` tells what each operator means. What travels is
/// `json`, and the receiver reads it again.
package struct Filter: Hashable, Sendable {
    package let root: FilterNode
    /// The filter as JSON text of at most `Limits.filterByteCountMax` bytes.
    ///
    /// Equal filters have equal texts.
    package let json: [UInt8]
    private let program: FilterProgram

    /// Reads the JSON form.
    ///
    /// - Parameter text: Bytes that need not be JSON.
    /// - Throws: `.badRequest` naming the place in the text, what is there, and what was expected.
    /// - Complexity: O(n log n) for n bytes.
    package init(json text: [UInt8]) throws(OmenError) {
        try self.init(text, "filter", FilterReader.read)
    }

    /// Reads the text form.
    ///
    /// - Parameter text: Bytes that need not be UTF-8.
    /// - Throws: `.badRequest` naming the column, what is there, and what was expected.
    /// - Complexity: O(n log n) for n bytes.
    package init(where text: [UInt8]) throws(OmenError) {
        try self.init(text, "where", WhereReader.read)
    }

    private init(
        _ text: [UInt8],
        _ what: String,
        _ read: (UnsafeRawBufferPointer) throws(OmenError) -> FilterNode
    ) throws(OmenError) {
        try Self.check(text.count, what)
        // Does not carry typed throws, so the outcome travels as a value.
        let outcome: Result<FilterNode, OmenError> = text.withUnsafeBytes { bytes in
            do throws(OmenError) { return .success(try read(bytes)) } catch {
                return .failure(error)
            }
        }
        root = try outcome.get()
        json = Array(root.json.text.utf8)
        try Self.check(json.count, "\(what) as JSON")
        program = FilterProgram(root)
    }

    private static func check(_ byteCount: Int, _ what: String) throws(OmenError) {
        guard byteCount <= Limits.filterByteCountMax else {
            throw OmenError(
                .badRequest,
                "\(what) has \(byteCount) bytes, expected at most \(Limits.filterByteCountMax)"
            )
        }
    }

    /// Whether the filter is true for a record.
    ///
    /// - Parameter metadata: JSON text that `JSONText.validateObject` accepted, under either rules;
    ///   empty for a record without metadata, which is like `{}`.
    /// - Returns: True if the record is one that was asked for.
    /// - Throws: `.corrupt` for bytes that are no JSON object.
    /// - Complexity: O(n · m) for n values that the filter asks for and m conditions on one path,
    ///   and one look at each other byte. Recursion is bounded by `Limits.jsonDepthMax`.
    package func matches(_ metadata: UnsafeRawBufferPointer) throws(OmenError) -> Bool {
        try program.matches(metadata)
    }

    /// Filters are equal when their trees are.
    package static func == (left: Filter, right: Filter) -> Bool { left.json == right.json }

    package func hash(into hasher: inout Hasher) { hasher.combine(json) }
}
