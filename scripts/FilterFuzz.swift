// What libFuzzer calls, compiled together with OmenCore by scripts/fuzz.

/// Reads bytes as a filter and metadata, and ends the process if one of the promises of
/// docs/FILTERS.md is broken.
///
/// - Parameters:
///   - bytes: The text of a filter, of its text form where it begins with `?`, then a zero byte and
///     metadata.
///   - count: How many bytes there are.
/// - Returns: 0, as libFuzzer asks for.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFilter(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let parts = UnsafeBufferPointer(start: bytes, count: count)
        .split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    guard let text = parts.first else { return 0 }
    do throws(OmenError) {
        let filter: Filter
        if text.first == UInt8(ascii: "?") {
            filter = try Filter(where: Array(text.dropFirst()))
        } else {
            filter = try Filter(json: Array(text))
        }
        checkJSON(of: filter)
        check(filter, on: parts.count > 1 ? Array(parts[1]) : [])
    } catch {
        precondition(error.code == .badRequest, "a filter is refused with \(error)")
        precondition(
            error.message.utf8.count < 1000,
            "an error of \(error.message.utf8.count) bytes"
        )
    }
    return 0
}

/// The JSON text of a filter means the filter.
private func checkJSON(of filter: Filter) {
    do throws(OmenError) {
        let arrived = try Filter(json: filter.json)
        precondition(arrived.root == filter.root, "the tree changed")
        precondition(arrived.json == filter.json, "the text changed")
    } catch { preconditionFailure("the text of a filter is refused: \(error)") }
}

/// Metadata that can be stored gets an answer, and the negation gets the other one.
private func check(_ filter: Filter, on metadata: [UInt8]) {
    let isStored = metadata.isEmpty || isAccepted(metadata)
    do throws(OmenError) {
        let answer = try matches(filter, metadata)
        let text = Array(#"{"$not":"#.utf8) + filter.json + [UInt8(ascii: "}")]
        let negation: Filter
        // A filter may be as deep, as large or as long as there is room for.
        do throws(OmenError) { negation = try Filter(json: text) } catch { return }
        let opposite = try matches(negation, metadata)
        precondition(opposite != answer, "not the complement")
    } catch {
        precondition(!isStored && error.code == .corrupt, "metadata is refused: \(error)")
    }
}

private func isAccepted(_ metadata: [UInt8]) -> Bool {
    metadata.withUnsafeBytes { bytes in
        do throws(OmenError) {
            try JSONText.validateObject(bytes)
            return true
        } catch { return false }
    }
}

private func matches(_ filter: Filter, _ metadata: [UInt8]) throws(OmenError) -> Bool {
    let outcome: Result<Bool, OmenError> = metadata.withUnsafeBytes { bytes in
        do throws(OmenError) { return .success(try filter.matches(bytes)) } catch {
            return .failure(error)
        }
    }
    return try outcome.get()
}
