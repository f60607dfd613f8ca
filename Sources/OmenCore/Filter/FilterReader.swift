/// Reads the JSON form of a filter into its tree.
///
/// Whatever it is given, it ends in an error or a tree within the limits: recursion is bounded by
/// `nestingMax`, and what it builds by the size of the text.
struct FilterReader {
    /// Deepest nesting of objects and lists: each level of the tree takes at most two, and a
    /// condition at most six.
    private static let nestingMax = 2 * Limits.filterDepthMax + 6

    var place = FilterPlace()
    private var nodeCount = 0
    var valueCount = 0

    /// Reads a filter.
    ///
    /// - Parameter text: Bytes that need not be JSON.
    /// - Returns: The tree, within all limits but that of its JSON text.
    /// - Throws: `.badRequest` naming the place in the text, what is there, and what was expected.
    static func read(_ text: UnsafeRawBufferPointer) throws(OmenError) -> FilterNode {
        guard String(validating: text, as: UTF8.self) != nil else {
            throw OmenError(.badRequest, "the filter is not UTF-8")
        }
        var scanner = JSONScanner(bytes: text, what: "the filter")
        var reader = FilterReader()
        scanner.skipSpace()
        let node = try reader.filter(&scanner)
        scanner.skipSpace()
        guard scanner.peek == nil else { throw scanner.unexpected("the end") }
        try node.checkHeight()
        return node
    }

    // MARK: Filters

    /// An object whose members must all be true.
    private mutating func filter(_ scanner: inout JSONScanner) throws(OmenError) -> FilterNode {
        guard scanner.peek == UInt8(ascii: "{") else {
            throw place.error("is \(shown(scanner)), expected a filter: an object")
        }
        var nodes: [FilterNode] = []
        try scanner.eachMember { (scanner, name) throws(OmenError) in
            try enter(name)
            let node = try member(&scanner, name)
            nodes.append(node)
            place.leave()
        }
        switch nodes.count {
        case 0: return try counted(.all)
        case 1: return nodes[0]
        default: return try counted(.and(nodes))
        }
    }

    private mutating func member(
        _ scanner: inout JSONScanner,
        _ name: JSONRawString
    ) throws(OmenError) -> FilterNode {
        let key = name.utf8
        guard key.first == UInt8(ascii: "$") else { return try field(&scanner, key) }
        switch String(decoding: key, as: UTF8.self) {
        case "$and":
            let nodes = try filters(&scanner)
            return try counted(.and(nodes))
        case "$or":
            let nodes = try filters(&scanner)
            return try counted(.or(nodes))
        case "$nor":
            let nodes = try filters(&scanner)
            return try counted(.not(try counted(.or(nodes))))
        case "$not":
            let node = try filter(&scanner)
            return try counted(.not(node))
        case let other: throw unknown(other, "expected a path, $and, $or, $nor or $not")
        }
    }

    /// A list of at least one filter.
    private mutating func filters(_ scanner: inout JSONScanner) throws(OmenError) -> [FilterNode] {
        guard scanner.peek == UInt8(ascii: "[") else {
            throw place.error("is \(shown(scanner)), expected a list of filters")
        }
        var nodes: [FilterNode] = []
        try scanner.eachElement { (scanner) throws(OmenError) in
            place.enter(nodes.count)
            try checkNesting()
            let node = try filter(&scanner)
            nodes.append(node)
            place.leave()
        }
        guard !nodes.isEmpty else { throw place.error("is empty, expected at least one filter") }
        return nodes
    }

    // MARK: Conditions

    private mutating func field(
        _ scanner: inout JSONScanner,
        _ key: [UInt8]
    ) throws(OmenError) -> FilterNode {
        let path: FilterPath
        do throws(OmenError) { path = try FilterPath(key) } catch {
            throw place.error("is no path: it \(error.message)")
        }
        guard scanner.peek == UInt8(ascii: "{") else {
            return try node(try term(&scanner, .equal), path)
        }
        return try operators(&scanner, path)
    }

    /// An object of operators.
    ///
    /// One value must satisfy all operators that compare; each of the others stands for itself.
    private mutating func operators(
        _ scanner: inout JSONScanner,
        _ path: FilterPath
    ) throws(OmenError) -> FilterNode {
        var comparisons: [FilterComparison] = []
        var nodes: [FilterNode] = []
        var date: FilterDate?
        var memberCount = 0
        try scanner.eachMember { (scanner, name) throws(OmenError) in
            try enter(name)
            memberCount += 1
            switch String(decoding: name.utf8, as: UTF8.self) {
            case "$date": date = try self.date(&scanner)
            case "$not":
                guard scanner.peek == UInt8(ascii: "{") else {
                    throw place.error("is \(shown(scanner)), expected an object of operators")
                }
                let node = try operators(&scanner, path)
                nodes.append(try counted(.not(node)))
            case let name:
                let term = try term(&scanner, try known(name))
                if case .comparison(let comparison) = term {
                    comparisons.append(comparison)
                } else {
                    nodes.append(try node(term, path))
                }
            }
            place.leave()
        }
        guard memberCount > 0 else { throw place.error("is empty, expected an operator") }
        if let date {
            guard memberCount == 1 else { throw place.error("has $date beside operators") }
            comparisons = [.equal(.value(.date(date)))]
        }
        return try joined(comparisons, nodes, path)
    }

    private mutating func joined(
        _ comparisons: [FilterComparison],
        _ others: [FilterNode],
        _ path: FilterPath
    ) throws(OmenError) -> FilterNode {
        guard !FilterComparison.clash(comparisons) else {
            throw place.error(
                "compares one value with a date and with a string, expected two conditions in $and"
            )
        }
        let nodes = comparisons.isEmpty ? others : [try counted(.some(path, comparisons))] + others
        return nodes.count == 1 ? nodes[0] : try counted(.and(nodes))
    }

    private func known(_ name: String) throws(OmenError) -> FilterOperator {
        if let known = FilterOperator(rawValue: name) { return known }
        guard name.hasPrefix("$") else {
            throw place.error(
                "is no operator; a name within \"a\" is written \"a.b\", and objects are not compared"
            )
        }
        throw unknown(name, "expected one of the operators that a path has")
    }

    private func unknown(_ name: String, _ expected: String) -> OmenError {
        place.error(
            FilterOperator.unsupported.contains(name)
                ? "is not supported yet" : "is an unknown operator, \(expected)"
        )
    }

    // MARK: Limits

    mutating func enter(_ name: JSONRawString) throws(OmenError) {
        place.enter(name)
        try checkNesting()
    }

    private func checkNesting() throws(OmenError) {
        guard place.depth <= Self.nestingMax else {
            throw place.error(
                "is nested too deep, expected at most \(Limits.filterDepthMax) levels"
            )
        }
    }

    private mutating func node(
        _ term: FilterTerm,
        _ path: FilterPath
    ) throws(OmenError) -> FilterNode {
        let node = term.node(path)
        nodeCount += node.count - 1
        return try counted(node)
    }

    private mutating func counted(_ node: FilterNode) throws(OmenError) -> FilterNode {
        nodeCount += 1
        guard nodeCount <= Limits.filterNodeCountMax else {
            throw place.error(
                "is condition \(nodeCount), expected at most \(Limits.filterNodeCountMax)"
            )
        }
        return node
    }
}
