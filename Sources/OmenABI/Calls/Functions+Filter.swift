public import COmenDB
internal import Glibc
internal import OmenCore

/// Reads a filter.
@c @implementation
public func omendb_filter_new(
    _ text: UnsafePointer<CChar>!,
    _ byte_count: UInt64,
    _ form: Int32,
    _ filter: UnsafeMutablePointer<OpaquePointer?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(filter, "filter")
        let bytes = try Arguments.bytes(text, byte_count, Limits.filterByteCountMax, "filter")
        switch form {
        case Int32(OMENDB_FILTER_JSON): target.pointee = Handles.add(try Filter(json: bytes))
        case Int32(OMENDB_FILTER_WHERE): target.pointee = Handles.add(try Filter(where: bytes))
        default: throw OmenError(.badRequest, "form \(form) of a filter is unknown")
        }
    }
}

/// A filter as JSON text.
@c @implementation
public func omendb_filter_json(
    _ filter: OpaquePointer!,
    _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(json, "json")
        // JSON text has no zero byte.
        let text = try Handles.filter(filter).json
        target.pointee = strdup(String(decoding: text, as: UTF8.self))
    }
}

/// Whether a filter is true for metadata.
@c @implementation
public func omendb_filter_matches(
    _ filter: OpaquePointer!,
    _ metadata: UnsafePointer<CChar>!,
    _ byte_count: UInt64,
    _ matches: UnsafeMutablePointer<UInt8>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        guard let matches else { throw OmenError(.badRequest, "matches is null") }
        let filter = try Handles.filter(filter)
        let most = Limits.metadataByteCountMax
        let object = try Arguments.bytes(metadata, byte_count, most, "metadata")
        // Does not carry typed throws, so the outcome travels as a value.
        let outcome: Result<Bool, OmenError> = object.withUnsafeBytes { bytes in
            do throws(OmenError) {
                if !bytes.isEmpty { try JSONText.validateObject(bytes) }
                return .success(try filter.matches(bytes))
            } catch { return .failure(error) }
        }
        matches.pointee = try outcome.get() ? 1 : 0
    }
}

/// Frees a filter.
@c @implementation
public func omendb_filter_free(_ filter: OpaquePointer!) { Handles.removeFilter(filter) }

extension Arguments {
    /// A copy of bytes that C passes in.
    ///
    /// - Throws: `.badRequest` for more than `most` of them, and for null where there are any.
    fileprivate static func bytes(
        _ pointer: UnsafePointer<CChar>?,
        _ count: UInt64,
        _ most: Int,
        _ what: String
    ) throws(OmenError) -> [UInt8] {
        guard count <= UInt64(most) else {
            throw OmenError(.badRequest, "\(what) has \(count) bytes, expected at most \(most)")
        }
        guard count > 0 else { return [] }
        guard let pointer else { throw OmenError(.badRequest, "\(what) is null") }
        return Array(UnsafeRawBufferPointer(start: pointer, count: Int(count)))
    }
}
