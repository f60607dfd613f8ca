internal import Glibc

/// Checks JSON text without building values: enough to store metadata safely.
package enum JSONText {
    /// Accepts exactly one JSON object (RFC 8259) in valid UTF-8, nested at most
    /// `Limits.jsonDepthMax` deep; names the first wrong byte otherwise.
    ///
    /// As RFC 7493 asks (I-JSON), so that everybody reads the same: names of one object differ,
    /// numbers are finite in 64 bits, and escapes make whole characters.
    /// What files hold may be any JSON.
    /// - Complexity: O(count); allocates for objects of more than eight names only.
    package static func validateObject(
        _ bytes: UnsafeRawBufferPointer,
        _ rules: ValueRules = .accepted
    ) throws(OmenError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw OmenError(.badRequest, "metadata is not UTF-8")
        }
        var scanner = JSONScanner(bytes: bytes, what: "metadata", rules)
        scanner.skipSpace()
        guard scanner.peek == UInt8(ascii: "{") else {
            throw scanner.unexpected("an object")
        }
        try scanner.value(depth: 1)
        scanner.skipSpace()
        guard scanner.peek == nil else { throw scanner.unexpected("the end") }
    }
}

/// Walks over JSON text (RFC 8259) that cannot be trusted, one value at a time, without building
/// anything; callers take what they want from the offsets.
///
/// Borrows its bytes. Checks structure, that names of an object differ, that numbers are finite and
/// that escapes make whole characters; not that strings are valid UTF-8.
package struct JSONScanner {
    package let bytes: UnsafeRawBufferPointer
    package private(set) var offset = 0
    /// What the text is, for errors.
    private let what: String
    private let rules: ValueRules

    package init(
        bytes: UnsafeRawBufferPointer,
        what: String,
        _ rules: ValueRules = .accepted
    ) {
        self.bytes = bytes
        self.what = what
        self.rules = rules
    }

    package var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    package func unexpected(_ expected: String) -> OmenError {
        let seen = peek.map { "byte \($0)" } ?? "the end"
        return OmenError(
            .badRequest,
            "\(what) is not JSON: expected \(expected) at offset \(offset), saw \(seen)"
        )
    }

    package mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            offset += 1
        }
    }

    package mutating func accept(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        offset += 1
        return true
    }

    /// Steps over one value; `depth` counts the objects and arrays around and including it.
    ///
    /// Recursion is bounded by `Limits.jsonDepthMax`.
    package mutating func value(depth: Int) throws(OmenError) {
        guard depth <= Limits.jsonDepthMax else {
            throw OmenError(
                .badRequest,
                "\(what) is nested deeper than \(Limits.jsonDepthMax) levels"
            )
        }
        switch peek {
        case UInt8(ascii: "{"): try members(depth: depth)
        case UInt8(ascii: "["): try elements(depth: depth)
        default: _ = try scalar()
        }
    }

    private mutating func members(depth: Int) throws(OmenError) {
        try eachMember { (scanner, _) throws(OmenError) in
            try scanner.value(depth: depth + 1)
        }
    }

    /// Steps over an object; `peek` is its opening brace.
    ///
    /// - Parameter take: Called with each name; it steps over the value, which `peek` begins.
    /// - Throws: What `take` throws, and `.badRequest` for what is not JSON or a name that comes
    ///   twice.
    @inline(__always)
    mutating func eachMember(
        _ take: (inout JSONScanner, JSONRawString) throws(OmenError) -> Void
    ) throws(OmenError) {
        offset += 1
        skipSpace()
        if accept(UInt8(ascii: "}")) { return }
        var names = JSONNames()
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw unexpected("a name") }
            let start = offset
            let name = try string()
            guard rules == .stored || names.insert(name.bytes) else {
                throw OmenError(
                    .badRequest,
                    "\(what) has the name \(JSONString.shown(name.bytes)) twice in one object, at offset \(start)"
                )
            }
            skipSpace()
            guard accept(UInt8(ascii: ":")) else { throw unexpected("':'") }
            skipSpace()
            try take(&self, name)
            skipSpace()
            if accept(UInt8(ascii: "}")) { return }
            guard accept(UInt8(ascii: ",")) else { throw unexpected("',' or '}'") }
        }
    }

    private mutating func elements(depth: Int) throws(OmenError) {
        try eachElement { (scanner) throws(OmenError) in try scanner.value(depth: depth + 1) }
    }

    /// Steps over an array; `peek` is its opening bracket.
    ///
    /// - Parameter take: Called for each element; it steps over it. `peek` is its first byte.
    /// - Throws: What `take` throws, and `.badRequest` for what is not JSON.
    @inline(__always)
    mutating func eachElement(
        _ take: (inout JSONScanner) throws(OmenError) -> Void
    ) throws(OmenError) {
        offset += 1
        skipSpace()
        if accept(UInt8(ascii: "]")) { return }
        while true {
            skipSpace()
            try take(&self)
            skipSpace()
            if accept(UInt8(ascii: "]")) { return }
            guard accept(UInt8(ascii: ",")) else { throw unexpected("',' or ']'") }
        }
    }

    /// Steps over a value that is neither an object nor an array, and tells what it is.
    ///
    /// - Returns: The value; its digits or characters are still those of the text.
    /// - Throws: `.badRequest` for what is no such value.
    mutating func scalar() throws(OmenError) -> JSONScalar {
        switch peek {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        default:
            let start = offset
            try finiteNumber()
            return .number(UnsafeRawBufferPointer(rebasing: bytes[start..<offset]))
        }
    }

    private mutating func literal(_ word: StaticString) throws(OmenError) {
        for index in 0..<word.utf8CodeUnitCount {
            guard accept(word.utf8Start[index]) else { throw unexpected("'\(word)'") }
        }
    }

    /// Steps over a string; `peek` is its opening quote.
    ///
    /// - Returns: What stands between its quotes.
    /// - Throws: `.badRequest` for what is no string.
    @discardableResult
    package mutating func string() throws(OmenError) -> JSONRawString {
        offset += 1
        let start = offset
        var isEscaped = false
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                let raw = UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
                offset += 1
                return JSONRawString(bytes: raw, isEscaped: isEscaped)
            case 0..<0x20: throw unexpected("no control character in a string")
            case UInt8(ascii: "\\"):
                isEscaped = true
                offset += 1
                try escape()
            default: offset += 1
            }
        }
        throw unexpected("'\"'")
    }

    private mutating func escape() throws(OmenError) {
        switch peek {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            offset += 1
        case UInt8(ascii: "u"):
            let start = offset - 1
            offset += 1
            let unit = try codeUnit()
            guard rules == .accepted, JSONString.isHalf(unit) else { return }
            // RFC 8259 leaves open what half of a pair means; no UTF-8 stands for it.
            if unit < 0xDC00, accept(UInt8(ascii: "\\")), accept(UInt8(ascii: "u")) {
                let second = try codeUnit()
                if (0xDC00..<0xE000).contains(second) { return }
            }
            throw OmenError(
                .badRequest,
                "\(what) has half of a surrogate pair at offset \(start), which is no text"
            )
        default: throw unexpected("an escape")
        }
    }

    /// Reads the four hexadecimal digits behind a `\u`.
    private mutating func codeUnit() throws(OmenError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = JSONString.hexadecimal(peek ?? 0) else {
                throw unexpected("a hexadecimal digit")
            }
            unit = unit << 4 | digit
            offset += 1
        }
        return unit
    }

    private mutating func finiteNumber() throws(OmenError) {
        let start = offset
        try number()
        guard rules == .accepted else { return }
        let digits = bytes[start..<offset]
        // Without an exponent, fewer digits than this are finite.
        guard digits.count > 300 || digits.contains(where: { $0 | 0x20 == UInt8(ascii: "e") })
        else { return }
        guard let value = Double(String(decoding: digits, as: UTF8.self)), value.isFinite else {
            throw OmenError(
                .badRequest,
                "\(what) has a number at offset \(start) that is beyond 64 bits of floating point"
            )
        }
    }

    /// Steps over an array without strings or arrays in it, and looks at its commas only; `peek` is
    /// its opening bracket.
    ///
    /// - Returns: How many commas; nil, and nothing is stepped over, if it does not end.
    package mutating func skipNumbers() -> Int? {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
        guard let base = rest.baseAddress,
            let found = memchr(base, Int32(UInt8(ascii: "]")), rest.count)
        else { return nil }
        let count = UnsafeRawPointer(found) - base
        offset += count + 1
        return rest[..<count].reduce(0) { $0 + ($1 == UInt8(ascii: ",") ? 1 : 0) }
    }

    package mutating func number() throws(OmenError) {
        _ = accept(UInt8(ascii: "-"))
        if !accept(UInt8(ascii: "0")) { try digits() }
        if accept(UInt8(ascii: ".")) { try digits() }
        if accept(UInt8(ascii: "e")) || accept(UInt8(ascii: "E")) {
            if !accept(UInt8(ascii: "+")) { _ = accept(UInt8(ascii: "-")) }
            try digits()
        }
    }

    private mutating func digits() throws(OmenError) {
        let start = offset
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            offset += 1
        }
        guard offset > start else { throw unexpected("a value") }
    }
}
