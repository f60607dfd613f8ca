internal import OmenCore

/// Names of shard files: `ckpt-<LSN, 16 hex digits>-<ordinal, 4 hex digits>.omd`.
package enum ShardFileName {
    static let byteCount = 5 + 16 + 1 + 4 + 4

    /// The name of a collection's file; the ordinal tells apart files of one checkpoint.
    package static func make(lsn: UInt64, ordinal: UInt16) -> String {
        "ckpt-\(hexadecimal(lsn))-\(hexadecimal(UInt64(ordinal)).suffix(4)).omd"
    }

    /// The LSN in a name; nil for other names.
    package static func lsn(of name: String) -> UInt64? {
        guard isValid(name) else { return nil }
        return UInt64(name.dropFirst(5).prefix(16), radix: 16)
    }

    /// The ordinal in a name; nil for other names.
    package static func ordinal(of name: String) -> UInt16? {
        guard isValid(name) else { return nil }
        return UInt16(name.dropFirst(22).prefix(4), radix: 16)
    }

    /// True for exactly what `make` can return, so a name from a file never leads elsewhere.
    package static func isValid(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard bytes.count == byteCount, name.hasPrefix("ckpt-"), name.hasSuffix(".omd") else {
            return false
        }
        return bytes[5..<26].enumerated().allSatisfy { index, byte in
            if index == 16 { return byte == UInt8(ascii: "-") }
            return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
    }
}
