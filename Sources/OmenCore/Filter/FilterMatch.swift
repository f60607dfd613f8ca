/// One walk over the metadata of one record, and what it found.
struct FilterMatch {
    private let program: FilterProgram
    /// One for each condition: whether a value that it asks for was met.
    ///
    /// Then one for each place: whether there is a value.
    private let answers: UnsafeMutableBufferPointer<Bool>

    /// - Parameters:
    ///   - program: The filter.
    ///   - answers: False for each condition and each place.
    init(_ program: FilterProgram, _ answers: UnsafeMutableBufferPointer<Bool>) {
        self.program = program
        self.answers = answers
    }

    /// Answers the conditions.
    ///
    /// - Throws: `.badRequest` for bytes that are no JSON object.
    func walk(_ metadata: UnsafeRawBufferPointer) throws(OmenError) {
        var scanner = JSONScanner(bytes: metadata, what: "metadata", .stored)
        scanner.skipSpace()
        guard scanner.peek == UInt8(ascii: "{") else { throw scanner.unexpected("an object") }
        try members(&scanner, 0, depth: 1)
    }

    /// What the answers amount to, for a step of the program.
    func isTrue(_ step: Int) -> Bool {
        let end = program.steps[step].end
        var child = step + 1
        switch program.steps[step].kind {
        case .all: return true
        case .condition(let index): return answer(index)
        case .not: return !isTrue(child)
        case .and:
            while child < end {
                guard isTrue(child) else { return false }
                child = program.steps[child].end
            }
            return true
        case .or:
            while child < end {
                if isTrue(child) { return true }
                child = program.steps[child].end
            }
            return false
        }
    }

    private func answer(_ index: Int) -> Bool {
        if answers[index] { return true }
        // Where there is no value, null stands for it.
        let condition = program.conditions[index]
        return condition.kind == .some && condition.keys.includesNull
            && !answers[program.conditions.count + condition.place]
    }

    // MARK: Walking

    private func members(
        _ scanner: inout JSONScanner,
        _ place: Int,
        depth: Int
    ) throws(OmenError) {
        try scanner.eachMember { (scanner, name) throws(OmenError) in
            let next =
                name.isEscaped
                ? name.utf8.withUnsafeBytes { program.places[place].place(of: $0) }
                : program.places[place].place(of: name.bytes)
            if let next {
                try value(&scanner, next, depth: depth + 1)
            } else {
                try scanner.value(depth: depth + 1)
            }
        }
    }

    private func value(
        _ scanner: inout JSONScanner,
        _ place: Int,
        depth: Int
    ) throws(OmenError) {
        answers[program.conditions.count + place] = true
        for index in program.places[place].conditions
        where program.conditions[index].kind == .exists { answers[index] = true }
        switch scanner.peek {
        case UInt8(ascii: "["): try list(&scanner, place, depth: depth)
        case UInt8(ascii: "{"): try object(&scanner, place, depth: depth)
        default: compare(try scanner.scalar(), place, isElement: false)
        }
    }

    private func object(
        _ scanner: inout JSONScanner,
        _ place: Int,
        depth: Int
    ) throws(OmenError) {
        // Metadata that is nested too deep is refused there, before anything recurs.
        if program.places[place].names.isEmpty || depth > Limits.jsonDepthMax {
            try scanner.value(depth: depth)
        } else {
            try members(&scanner, place, depth: depth)
        }
    }

    private func list(
        _ scanner: inout JSONScanner,
        _ place: Int,
        depth: Int
    ) throws(OmenError) {
        let wantsLists = program.places[place].wantsLists
        if wantsLists { try compareList(scanner, place, isElement: false) }
        try scanner.eachElement { (scanner) throws(OmenError) in
            switch scanner.peek {
            case UInt8(ascii: "["):
                if wantsLists { try compareList(scanner, place, isElement: true) }
                try scanner.value(depth: depth + 1)
            case UInt8(ascii: "{"): try object(&scanner, place, depth: depth + 1)
            default: compare(try scanner.scalar(), place, isElement: true)
            }
        }
    }

    // MARK: Comparing

    private func compare(_ scalar: JSONScalar, _ place: Int, isElement: Bool) {
        guard !program.places[place].conditions.isEmpty else { return }
        switch scalar {
        case .null: answer(place, isElement) { $0.includesNull }
        case .bool(let value):
            answer(place, isElement) { value ? $0.includesTrue : $0.includesFalse }
        case .number(let digits):
            // A number beyond all doubles, which only old files hold, is equal to nothing.
            guard let number = JSONNumber(digits) else { return }
            answer(place, isElement) { $0.numbers.contains(number) }
        case .string(let raw) where raw.isEscaped:
            raw.utf8.withUnsafeBytes { compare(text: $0, place, isElement) }
        case .string(let raw): compare(text: raw.bytes, place, isElement)
        }
    }

    private func compare(text: UnsafeRawBufferPointer, _ place: Int, _ isElement: Bool) {
        answer(place, isElement) { $0.strings.contains { $0.order(of: text) } }
        guard program.places[place].wantsDates, let date = FilterDate(text) else { return }
        answer(place, isElement) { $0.dates.contains(date) }
    }

    /// Compares the list that the scanner is at as a whole; steps over nothing.
    private func compareList(
        _ scanner: JSONScanner,
        _ place: Int,
        isElement: Bool
    ) throws(OmenError) {
        var ahead = scanner
        guard let list = try self.list(&ahead) else { return }
        answer(place, isElement) { $0.contains(list: list) }
    }

    /// - Returns: Nil for a list that no filter compares with, since it has lists or objects in it.
    private func list(_ scanner: inout JSONScanner) throws(OmenError) -> [FilterValue]? {
        var list: [FilterValue] = []
        var isComparable = true
        try scanner.eachElement { (scanner) throws(OmenError) in
            if scanner.peek == UInt8(ascii: "[") || scanner.peek == UInt8(ascii: "{") {
                isComparable = false
                try scanner.value(depth: 1)
                return
            }
            switch try scanner.scalar() {
            case .null: list.append(.null)
            case .bool(let value): list.append(.bool(value))
            case .number(let digits):
                guard let number = JSONNumber(digits) else { return isComparable = false }
                list.append(.number(number))
            case .string(let raw): list.append(.string(FilterText(raw.utf8)))
            }
        }
        return isComparable ? list : nil
    }

    /// Notes a value for the conditions of a place that it satisfies.
    @inline(__always)
    private func answer(_ place: Int, _ isElement: Bool, _ isAmong: (FilterKeys) -> Bool) {
        for index in program.places[place].conditions where !answers[index] {
            switch program.conditions[index].kind {
            case .exists: continue
            case .contains: if !isElement { continue }
            case .some: break
            }
            answers[index] = isAmong(program.conditions[index].keys)
        }
    }
}
