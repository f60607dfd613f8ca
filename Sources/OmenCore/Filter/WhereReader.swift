/// Reads the text form of a filter into its tree; `docs/FILTERS.md` has the grammar.
///
/// One token is looked at ahead. Whatever it is given, it ends in an error or a tree within the
/// limits: only `not` and parentheses recur, and how deep is counted.
struct WhereReader {
    private var scanner: WhereScanner
    private var token = WhereToken.end
    private var depth = 0
    private var nodeCount = 0
    private var valueCount = 0

    /// Words that no path begins with unless it is in quotes.
    private static let reserved = ["and", "or", "not", "in", "is", "null", "true", "false"]

    /// Reads a filter.
    ///
    /// - Parameter text: Bytes that need not be UTF-8.
    /// - Returns: The tree, within all limits but that of its JSON text.
    /// - Throws: `.badRequest` naming the column, what is there, and what was expected.
    static func read(_ text: UnsafeRawBufferPointer) throws(OmenError) -> FilterNode {
        guard String(validating: text, as: UTF8.self) != nil else {
            throw OmenError(.badRequest, "where is not UTF-8")
        }
        var reader = WhereReader(scanner: WhereScanner(text))
        try reader.advance()
        let node = try reader.alternatives()
        guard reader.token == .end else { throw reader.unexpected("and, or, or the end") }
        try node.checkHeight()
        return node
    }

    private init(scanner: WhereScanner) { self.scanner = scanner }

    // MARK: Connectives

    private mutating func alternatives() throws(OmenError) -> FilterNode {
        var nodes = [try conjunction()]
        while try accept(word: "or") { nodes.append(try conjunction()) }
        return nodes.count == 1 ? nodes[0] : try counted(.or(nodes))
    }

    private mutating func conjunction() throws(OmenError) -> FilterNode {
        var nodes = [try negation()]
        while try accept(word: "and") { nodes.append(try negation()) }
        return nodes.count == 1 ? nodes[0] : try counted(.and(nodes))
    }

    private mutating func negation() throws(OmenError) -> FilterNode {
        depth += 1
        defer { depth -= 1 }
        // Parentheses leave no node in the tree, so their depth has a limit of its own.
        guard depth <= 4 * Limits.filterDepthMax else {
            throw scanner.error("nested too deep, expected at most \(Limits.filterDepthMax) levels")
        }
        if try accept(word: "not") { return try counted(.not(try negation())) }
        if try accept(sign: "(") {
            let node = try alternatives()
            try expect(sign: ")")
            return node
        }
        return try condition()
    }

    // MARK: Conditions

    private mutating func condition() throws(OmenError) -> FilterNode {
        let isQuoted = if case .quoted = token { true } else { false }
        let start = scanner
        guard isQuoted || !Self.reserved.contains(where: { token.isWord($0) }) else {
            throw unexpected("a condition; such a name is written in quotes")
        }
        let mayBeFunction = token.isWord("exists")
        let first = try name("a path, not, exists(...) or '('")
        if mayBeFunction, try accept(sign: "(") {
            let path = try path(try name("a path"), start)
            try expect(sign: ")")
            return try counted(FilterTerm.exists(true).node(path))
        }
        return try comparison(try path(first, start))
    }

    /// The names of a path behind its first one.
    private mutating func path(
        _ first: FilterText,
        _ start: WhereScanner
    ) throws(OmenError) -> FilterPath {
        var names = [first]
        while token == .sign(".") {
            token = try scanner.name()
            names.append(try name("a name behind the dot"))
        }
        do throws(OmenError) { return try FilterPath(checking: names) } catch {
            throw start.error("a path that \(error.message)")
        }
    }

    private mutating func name(_ expected: String) throws(OmenError) -> FilterText {
        switch token {
        case .word(let utf8), .quoted(let utf8):
            try advance()
            return FilterText(utf8)
        case .number, .sign, .end: throw unexpected(expected)
        }
    }

    private mutating func comparison(_ path: FilterPath) throws(OmenError) -> FilterNode {
        if case .sign(let sign) = token, let name = Self.operators[sign] {
            return try term(name, path)
        }
        if try accept(word: "is") {
            let isNegated = try accept(word: "not")
            guard try accept(word: "null") else { throw unexpected("null") }
            let node = try counted(.some(path, [.equal(.value(.null))]))
            return isNegated ? try counted(.not(node)) : node
        }
        if token.isWord("not") {
            try advance()
            guard token.isWord("in") else { throw unexpected("in") }
            return try term(.noneOf, path)
        }
        if try accept(word: "starts") {
            guard token.isWord("with") else { throw unexpected("with") }
            return try term(.prefix, path)
        }
        for (word, name) in Self.words where token.isWord(word) { return try term(name, path) }
        throw unexpected(
            "=, !=, <, <=, >, >=, in, not in, contains, all, prefix, starts with, or is null"
        )
    }

    private static let operators: [String: FilterOperator] = [
        "=": .equal, "==": .equal, "!=": .notEqual, "<": .below, "<=": .belowOrEqual, ">": .above,
        ">=": .aboveOrEqual,
    ]

    private static let words: [(String, FilterOperator)] = [
        ("in", .oneOf), ("contains", .contains), ("all", .all), ("prefix", .prefix),
    ]

    /// The operator is the token; its operand is behind it.
    private mutating func term(
        _ name: FilterOperator,
        _ path: FilterPath
    ) throws(OmenError) -> FilterNode {
        try advance()
        let start = scanner
        // As in SQL; elsewhere parentheses around a value would make a list of it.
        let mayHaveParentheses = name == .oneOf || name == .noneOf || name == .all
        let given = try given(mayHaveParentheses)
        guard let term = FilterTerm(name, given) else {
            throw start.error("\(given.shown), expected \(name.expected)")
        }
        let node = term.node(path)
        nodeCount += node.count - 1
        return try counted(node)
    }

    // MARK: Values

    private mutating func given(
        _ mayHaveParentheses: Bool
    ) throws(OmenError) -> GivenOperand {
        let isList = token == .sign("[") || (mayHaveParentheses && token == .sign("("))
        guard isList else { return .value(try value()) }
        let close = token == .sign("[") ? "]" : ")"
        var operands: [FilterOperand] = []
        try elements(close) { (reader) throws(OmenError) in
            guard reader.token == .sign("[") else {
                operands.append(.value(try reader.value()))
                return
            }
            let start = reader.scanner
            var values: [FilterValue] = []
            try reader.elements("]") { (reader) throws(OmenError) in
                values.append(try reader.value())
            }
            guard let list = GivenOperand.list(values.map(FilterOperand.value)).operand else {
                throw start.error("a list with dates, expected a list without dates")
            }
            operands.append(list)
        }
        return .list(operands)
    }

    /// A list, whose opening sign is the token.
    private mutating func elements(
        _ close: String,
        _ take: (inout WhereReader) throws(OmenError) -> Void
    ) throws(OmenError) {
        try advance()
        if try accept(sign: close) { return }
        repeat { try take(&self) } while try accept(sign: ",")
        guard try accept(sign: close) else { throw unexpected("',' or '\(close)'") }
    }

    private mutating func value() throws(OmenError) -> FilterValue {
        valueCount += 1
        guard valueCount <= Limits.filterValueCountMax else {
            throw scanner.error(
                "value \(valueCount), expected at most \(Limits.filterValueCountMax)"
            )
        }
        switch token {
        case .number(let number):
            try advance()
            return .number(number)
        case .quoted(let utf8):
            try advance()
            return .string(FilterText(utf8))
        case .word, .sign, .end: break
        }
        if try accept(word: "null") { return .null }
        if try accept(word: "true") { return .bool(true) }
        if try accept(word: "false") { return .bool(false) }
        if try accept(word: "date") { return .date(try date()) }
        throw unexpected("a string in quotes, a number, true, false, null, date(...) or a list")
    }

    private mutating func date() throws(OmenError) -> FilterDate {
        try expect(sign: "(")
        guard case .quoted(let utf8) = token else { throw unexpected("a string in quotes") }
        guard let date = utf8.withUnsafeBytes({ FilterDate($0) }) else {
            throw unexpected("a date such as \(FilterDate.example)")
        }
        try advance()
        try expect(sign: ")")
        return date
    }

    // MARK: Tokens

    private mutating func advance() throws(OmenError) { token = try scanner.next() }

    private mutating func accept(word: String) throws(OmenError) -> Bool {
        guard token.isWord(word) else { return false }
        try advance()
        return true
    }

    private mutating func accept(sign: String) throws(OmenError) -> Bool {
        guard token == .sign(sign) else { return false }
        try advance()
        return true
    }

    private mutating func expect(sign: String) throws(OmenError) {
        guard try accept(sign: sign) else { throw unexpected("'\(sign)'") }
    }

    private func unexpected(_ expected: String) -> OmenError {
        scanner.error("\(token.shown), expected \(expected)")
    }

    private mutating func counted(_ node: FilterNode) throws(OmenError) -> FilterNode {
        nodeCount += 1
        guard nodeCount <= Limits.filterNodeCountMax else {
            throw scanner.error(
                "condition \(nodeCount), expected at most \(Limits.filterNodeCountMax)"
            )
        }
        return node
    }
}
