internal import Glibc
package import OmenCore

/// The few JSON values that records are made of, taken from text without building a tree: numbers
/// keep all their digits, and a vector costs no allocation per element.
package enum JSONValue {
    /// A vector in an argument, such as `[0.5, 1, -2e-3]`, as little-endian f32.
    package static func vector(text: String) throws(OmenError) -> [UInt8] {
        let utf8 = Array(text.utf8)
        var vector: [UInt8] = []
        let failure = utf8.withUnsafeBytes { bytes -> OmenError? in
            do throws(OmenError) {
                var scanner = JSONScanner(bytes: bytes, what: "the vector")
                scanner.skipSpace()
                _ = try Self.vector(&scanner, into: &vector)
                scanner.skipSpace()
                return scanner.peek == nil ? nil : scanner.unexpected("the end")
            } catch { return error }
        }
        if let failure { throw failure }
        return vector
    }

    /// A metadata object in an argument, as compact JSON text.
    package static func object(text: String) throws(OmenError) -> [UInt8] {
        let utf8 = Array(text.utf8)
        var object: [UInt8] = []
        let failure = utf8.withUnsafeBytes { bytes -> OmenError? in
            do throws(OmenError) {
                var scanner = JSONScanner(bytes: bytes, what: "the metadata")
                scanner.skipSpace()
                object = try Self.object(&scanner)
                scanner.skipSpace()
                return scanner.peek == nil ? nil : scanner.unexpected("the end")
            } catch { return error }
        }
        if let failure { throw failure }
        return object
    }

    /// Appends an array of numbers to `vector` as little-endian f32; returns how many.
    static func vector(
        _ scanner: inout JSONScanner,
        into vector: inout [UInt8]
    ) throws(OmenError) -> Int {
        guard scanner.accept(UInt8(ascii: "[")) else {
            throw scanner.unexpected("an array of numbers")
        }
        var count = 0
        repeat {
            scanner.skipSpace()
            if count == 0, scanner.peek == UInt8(ascii: "]") {
                throw OmenError(.badRequest, "the vector is empty")
            }
            guard count < Limits.dimensionMax else {
                throw OmenError(.badRequest, "vector has more than \(Limits.dimensionMax) elements")
            }
            let value = try number(&scanner)
            withUnsafeBytes(of: value.bitPattern.littleEndian) { vector.append(contentsOf: $0) }
            count += 1
            scanner.skipSpace()
        } while scanner.accept(UInt8(ascii: ","))
        guard scanner.accept(UInt8(ascii: "]")) else { throw scanner.unexpected("',' or ']'") }
        return count
    }

    private static func number(_ scanner: inout JSONScanner) throws(OmenError) -> Float {
        let start = scanner.offset
        try scanner.number()
        // The conversion stops at the first byte that is no number, so there must be one.
        guard scanner.peek != nil, let base = scanner.bytes.baseAddress else {
            throw scanner.unexpected("',' or ']'")
        }
        // Hexadecimal, NaN and infinity are not JSON: `number()` stopped before reading them.
        guard !isLetter(scanner.peek) else { throw scanner.unexpected("',' or ']'") }
        let value = strtof((base + start).assumingMemoryBound(to: CChar.self), nil)
        guard value == 0 else { return value }
        // Too small for 32 bits is not zero: see `float(_:)`.
        let digits = scanner.bytes[start..<scanner.offset].prefix { $0 | 0x20 != UInt8(ascii: "e") }
        let isZero = digits.allSatisfy { !(UInt8(ascii: "1")...UInt8(ascii: "9")).contains($0) }
        return isZero
            ? value : value.sign == .minus ? -.leastNonzeroMagnitude : .leastNonzeroMagnitude
    }

    private static func isLetter(_ byte: UInt8?) -> Bool {
        guard let byte else { return false }
        return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// A text, or a whole number from 0 that fits in 64 bits.
    static func id(_ scanner: inout JSONScanner) throws(OmenError) -> RecordID {
        let id: RecordID
        if scanner.peek == UInt8(ascii: "\"") {
            id = .text(try string(&scanner))
        } else {
            let start = scanner.offset
            try scanner.value(depth: 2)
            let digits = String(decoding: scanner.bytes[start..<scanner.offset], as: UTF8.self)
            // `UInt64("+1")` is a number too, but no JSON value begins with a plus.
            guard let number = UInt64(digits) else {
                throw OmenError(
                    .badRequest,
                    "id is \(digits.prefix(40)), expected a text or a whole number from 0 to \(UInt64.max)"
                )
            }
            id = .number(number)
        }
        try id.validate()
        return id
    }

    /// An object as compact JSON text; empty for `null`.
    static func object(_ scanner: inout JSONScanner) throws(OmenError) -> [UInt8] {
        let start = scanner.offset
        let isNull = scanner.peek == UInt8(ascii: "n")
        try scanner.value(depth: 1)
        if isNull { return [] }
        let slice = UnsafeRawBufferPointer(rebasing: scanner.bytes[start..<scanner.offset])
        try JSONText.validateObject(slice)
        let compact = withoutSpace(slice)
        guard compact.count <= Limits.metadataByteCountMax else {
            throw OmenError(
                .badRequest,
                "metadata has \(compact.count) bytes, expected at most \(Limits.metadataByteCountMax)"
            )
        }
        return compact
    }

    /// The same JSON text without white space between its tokens.
    private static func withoutSpace(_ text: UnsafeRawBufferPointer) -> [UInt8] {
        var compact: [UInt8] = []
        compact.reserveCapacity(text.count)
        var isInString = false
        var isEscaped = false
        for byte in text {
            if isInString {
                isInString = isEscaped || byte != UInt8(ascii: "\"")
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
            } else if byte == UInt8(ascii: "\"") {
                isInString = true
            } else if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
                continue
            }
            compact.append(byte)
        }
        return compact
    }

    /// A string, its escapes resolved.
    static func string(_ scanner: inout JSONScanner) throws(OmenError) -> String {
        guard scanner.peek == UInt8(ascii: "\"") else { throw scanner.unexpected("a string") }
        let start = scanner.offset + 1
        try scanner.string()
        let raw = UnsafeRawBufferPointer(rebasing: scanner.bytes[start..<scanner.offset - 1])
        guard let text = String(validating: JSONString.unescaped(raw), as: UTF8.self) else {
            throw OmenError(.badRequest, "a string is not UTF-8")
        }
        return text
    }
}
