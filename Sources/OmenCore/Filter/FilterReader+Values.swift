extension FilterReader {
    /// What an operator is given, as a term that fits it.
    ///
    /// - Throws: `.badRequest` naming what is there, and what was expected.
    mutating func term(
        _ scanner: inout JSONScanner,
        _ name: FilterOperator
    ) throws(OmenError) -> FilterTerm {
        let given = try given(&scanner)
        guard let term = FilterTerm(name, given) else {
            throw place.error("is \(given.shown), expected \(name.expected)")
        }
        return term
    }

    private mutating func given(_ scanner: inout JSONScanner) throws(OmenError) -> GivenOperand {
        guard scanner.peek == UInt8(ascii: "[") else { return .value(try value(&scanner)) }
        var operands: [FilterOperand] = []
        try scanner.eachElement { (scanner) throws(OmenError) in
            place.enter(operands.count)
            if scanner.peek == UInt8(ascii: "[") {
                let list = try list(&scanner)
                operands.append(.list(list))
            } else {
                let value = try value(&scanner)
                operands.append(.value(value))
            }
            place.leave()
        }
        return .list(operands)
    }

    /// A list among operands.
    private mutating func list(_ scanner: inout JSONScanner) throws(OmenError) -> [FilterValue] {
        var values: [FilterValue] = []
        try scanner.eachElement { (scanner) throws(OmenError) in
            place.enter(values.count)
            let isList = scanner.peek == UInt8(ascii: "[")
            guard !isList else { throw place.error("is a list in a list in a list") }
            let value = try value(&scanner)
            if case .date(let date) = value {
                throw place.error("is the date \(date), expected a list without dates")
            }
            values.append(value)
            place.leave()
        }
        return values
    }

    private mutating func value(_ scanner: inout JSONScanner) throws(OmenError) -> FilterValue {
        valueCount += 1
        guard valueCount <= Limits.filterValueCountMax else {
            throw place.error(
                "is value \(valueCount), expected at most \(Limits.filterValueCountMax)"
            )
        }
        let start = scanner
        switch scanner.peek {
        case UInt8(ascii: "{"): return .date(try dateObject(&scanner))
        case UInt8(ascii: "\""): return .string(FilterText(try scanner.string().utf8))
        case .some(let byte) where byte == UInt8(ascii: "-") || byte &- UInt8(ascii: "0") < 10:
            try scanner.number()
            let digits = scanner.bytes[start.offset..<scanner.offset]
            guard let number = JSONNumber(UnsafeRawBufferPointer(rebasing: digits)) else {
                throw place.error("is \(shown(start)), which is beyond 64 bits of floating point")
            }
            return .number(number)
        default:
            do throws(OmenError) {
                let scalar = try scanner.scalar()
                if case .bool(let value) = scalar { return .bool(value) }
                return .null
            } catch { throw place.error("is \(shown(start)), expected a value") }
        }
    }

    /// An object whose only member is `$date`.
    private mutating func dateObject(_ scanner: inout JSONScanner) throws(OmenError) -> FilterDate {
        var date: FilterDate?
        var memberCount = 0
        try scanner.eachMember { (scanner, name) throws(OmenError) in
            memberCount += 1
            guard memberCount == 1, name.bytes.elementsEqual("$date".utf8) else {
                throw place.error("is an object, expected a value, or {\"$date\": ...} alone")
            }
            try enter(name)
            date = try self.date(&scanner)
            place.leave()
        }
        guard let date else { throw place.error("is an empty object, expected a value") }
        return date
    }

    func date(_ scanner: inout JSONScanner) throws(OmenError) -> FilterDate {
        let start = scanner
        guard scanner.peek == UInt8(ascii: "\"") else {
            throw place.error("is \(shown(start)), expected a string such as \(FilterDate.example)")
        }
        let text = try scanner.string().utf8
        guard let date = text.withUnsafeBytes({ FilterDate($0) }) else {
            throw place.error("is \(shown(start)), expected a date such as \(FilterDate.example)")
        }
        return date
    }

    /// What stands there, for errors; cut off where it is long.
    func shown(_ scanner: JSONScanner) -> String {
        switch scanner.peek {
        case nil: return "missing"
        case UInt8(ascii: "{"): return "an object"
        case UInt8(ascii: "["): return "a list"
        case UInt8(ascii: "\""):
            var after = scanner
            do throws(OmenError) { return JSONString.shown(try after.string().bytes) } catch {
                return "a string that does not end"
            }
        default:
            let word = scanner.bytes[scanner.offset...].prefix(40).prefix {
                !" \n\r\t,:]}".utf8.contains($0)
            }
            return String(decoding: word, as: UTF8.self)
        }
    }
}
