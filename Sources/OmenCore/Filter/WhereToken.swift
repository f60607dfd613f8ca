/// A word, value or sign of a filter's text form.
enum WhereToken: Equatable {
    /// Letters, digits, `_` and `-`: a name, or a word of the grammar.
    case word([UInt8])
    /// What stands between quotes, its escapes resolved.
    case quoted([UInt8])
    case number(JSONNumber)
    /// `( ) [ ] , .` or an operator made of signs.
    case sign(String)
    case end

    /// For errors.
    var shown: String {
        switch self {
        case .word(let utf8): "\"" + String(decoding: utf8, as: UTF8.self).prefix(40) + "\""
        case .quoted(let utf8):
            "the string \"" + String(decoding: utf8, as: UTF8.self).prefix(40) + "\""
        case .number(let number): "\(number)"
        case .sign(let sign): "\"\(sign)\""
        case .end: "the end"
        }
    }

    /// Whether it is this word, in any case of letters.
    func isWord(_ word: String) -> Bool {
        guard case .word(let utf8) = self, utf8.count == word.utf8.count else { return false }
        return zip(utf8, word.utf8).allSatisfy { $0 | 0x20 == $1 | 0x20 }
    }
}

/// Cuts a filter's text form into tokens.
struct WhereScanner {
    private let text: UnsafeRawBufferPointer
    private var at = 0
    /// Where the token that was read last begins.
    private(set) var tokenStart = 0

    /// - Parameter text: UTF-8.
    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    private var peek: UInt8? { at < text.count ? text[at] : nil }

    /// An error that names the column of the token that was read last, counted in characters.
    func error(_ message: String) -> OmenError {
        // A byte of UTF-8 that continues a character is no new column.
        let column = text[..<tokenStart].reduce(1) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
        return OmenError(.badRequest, "where: column \(column): \(message)")
    }

    /// - Throws: `.badRequest` for what is no token.
    mutating func next() throws(OmenError) -> WhereToken {
        while let byte = peek, byte == 0x20 || (0x09...0x0D).contains(byte) { at += 1 }
        tokenStart = at
        guard let byte = peek else { return .end }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return .quoted(try quoted(byte))
        case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return .number(try number())
        case _ where Self.isOfWord(byte): return .word(word())
        default: return .sign(try sign())
        }
    }

    /// A name behind a dot, which may begin with a digit.
    mutating func name() throws(OmenError) -> WhereToken {
        guard let byte = peek, Self.isOfWord(byte) else { return try next() }
        tokenStart = at
        return .word(word())
    }

    private static func isOfWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), 0x80...:
            true
        default: false
        }
    }

    private mutating func word() -> [UInt8] {
        let start = at
        while let byte = peek, Self.isOfWord(byte) { at += 1 }
        return Array(text[start..<at])
    }

    private mutating func quoted(_ quote: UInt8) throws(OmenError) -> [UInt8] {
        at += 1
        var utf8: [UInt8] = []
        while let byte = peek {
            at += 1
            if byte == quote { return utf8 }
            guard byte == UInt8(ascii: "\\"), let letter = peek else {
                utf8.append(byte)
                continue
            }
            at += 1
            switch letter {
            case UInt8(ascii: "n"): utf8.append(0x0A)
            case UInt8(ascii: "t"): utf8.append(0x09)
            case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'"): utf8.append(letter)
            default:
                throw error(
                    "a string with a backslash before \(shown(at - 1)), expected \\\\, \\\", \\', \\n or \\t"
                )
            }
        }
        throw error("a string that does not end, expected \(shown(tokenStart))")
    }

    /// A character in quotes, for errors.
    private func shown(_ start: Int) -> String {
        "\"" + String(decoding: text[start...].prefix(4), as: UTF8.self).prefix(1) + "\""
    }

    private mutating func number() throws(OmenError) -> JSONNumber {
        let start = at
        while let byte = peek,
            Self.isOfWord(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "+")
        {
            at += 1
        }
        let digits = UnsafeRawBufferPointer(rebasing: text[start..<at])
        var scanner = JSONScanner(bytes: digits, what: "the number")
        let shown = String(decoding: digits.prefix(40), as: UTF8.self)
        do throws(OmenError) { try scanner.number() } catch {
            throw self.error("\(shown), expected a number as JSON has it")
        }
        guard scanner.peek == nil else { throw error("\(shown), expected a number as JSON has it") }
        guard let number = JSONNumber(digits) else {
            throw error("\(shown), which is beyond 64 bits of floating point")
        }
        return number
    }

    private mutating func sign() throws(OmenError) -> String {
        for sign in ["==", "!=", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",", "."]
        where text[at...].starts(with: sign.utf8) {
            at += sign.utf8.count
            return sign
        }
        throw error("\(shown(at)), expected a name, a value or an operator")
    }
}
