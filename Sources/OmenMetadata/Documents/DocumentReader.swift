internal import OmenCore

/// Reads the metadata of one row, value by value.
///
/// Objects within objects make longer paths. A list has its elements at its own path, and so have
/// objects in it; lists in lists have none. A path can come several times, for several values.
struct DocumentReader {
    private var scanner: JSONScanner
    private let sink: DocumentColumns

    private init(_ bytes: UnsafeRawBufferPointer, _ sink: DocumentColumns) {
        scanner = JSONScanner(bytes: bytes, what: "metadata", .stored)
        self.sink = sink
    }

    /// Reads a document.
    ///
    /// - Parameters:
    ///   - bytes: A JSON object.
    ///   - sink: What takes the values.
    /// - Throws: `.badRequest` when it is no JSON object.
    static func read(
        _ bytes: UnsafeRawBufferPointer,
        into sink: DocumentColumns
    ) throws(OmenError) {
        var reader = DocumentReader(bytes, sink)
        reader.scanner.skipSpace()
        guard reader.scanner.peek == UInt8(ascii: "{") else {
            throw reader.scanner.unexpected("an object")
        }
        try reader.object(at: nil, depth: 1, isCut: false)
        reader.scanner.skipSpace()
        guard reader.scanner.peek == nil else { throw reader.scanner.unexpected("the end") }
    }

    /// Reads an object; `peek` is its opening brace.
    ///
    /// `isCut` says that it is behind the elements of a list that are indexed.
    private mutating func object(at path: Int?, depth: Int, isCut: Bool) throws(OmenError) {
        _ = scanner.accept(UInt8(ascii: "{"))
        scanner.skipSpace()
        if scanner.accept(UInt8(ascii: "}")) { return }
        var hint = 0
        while true {
            scanner.skipSpace()
            guard scanner.peek == UInt8(ascii: "\"") else { throw scanner.unexpected("a name") }
            let name = try scanner.string()
            scanner.skipSpace()
            guard scanner.accept(UInt8(ascii: ":")) else { throw scanner.unexpected("':'") }
            scanner.skipSpace()
            switch place(name, path, &hint) {
            case .unindexed: try scanner.value(depth: depth + 1)
            case .indexed(let child):
                sink.add(.exists, at: child)
                try value(at: child, depth: depth + 1, isCut: isCut)
            }
            scanner.skipSpace()
            if scanner.accept(UInt8(ascii: "}")) { return }
            guard scanner.accept(UInt8(ascii: ",")) else { throw scanner.unexpected("',' or '}'") }
        }
    }

    private mutating func place(
        _ name: JSONRawString,
        _ path: Int?,
        _ hint: inout Int
    ) -> PathTree.Place {
        guard name.isEscaped else { return sink.child(name.bytes, of: path, &hint) }
        return name.utf8.withUnsafeBytes { sink.child($0, of: path, &hint) }
    }

    private mutating func value(at path: Int, depth: Int, isCut: Bool) throws(OmenError) {
        guard scanner.peek == UInt8(ascii: "[") else {
            return try single(at: path, depth: depth, isCut: isCut)
        }
        sink.add(.list, at: path)
        _ = scanner.accept(UInt8(ascii: "["))
        scanner.skipSpace()
        if scanner.accept(UInt8(ascii: "]")) { return }
        var count = 0
        while true {
            count += 1
            scanner.skipSpace()
            if scanner.peek == UInt8(ascii: "[") {
                try scanner.value(depth: depth + 1)
            } else {
                let isBehind = count > MetadataLimits.elementCountMax
                try single(at: path, depth: depth + 1, isCut: isCut || isBehind)
            }
            scanner.skipSpace()
            if scanner.accept(UInt8(ascii: "]")) { return }
            guard scanner.accept(UInt8(ascii: ",")) else { throw scanner.unexpected("',' or ']'") }
        }
    }

    /// Reads what is no list.
    private mutating func single(at path: Int, depth: Int, isCut: Bool) throws(OmenError) {
        guard depth <= Limits.jsonDepthMax else {
            // Tells what is wrong with the depth.
            return try scanner.value(depth: depth)
        }
        let first = scanner.peek
        if first == UInt8(ascii: "{") {
            return try object(at: path, depth: depth, isCut: isCut)
        }
        if isCut {
            sink.add(.overflow, at: path)
            return try scanner.value(depth: depth)
        }
        switch first {
        case UInt8(ascii: "\""): string(try scanner.string(), at: path)
        case UInt8(ascii: "n"), UInt8(ascii: "t"), UInt8(ascii: "f"):
            try scanner.value(depth: depth)
            sink.add(Self.property(first), at: path)
        default:
            let start = scanner.offset
            try scanner.number()
            let digits = UnsafeRawBufferPointer(rebasing: scanner.bytes[start..<scanner.offset])
            if let number = JSONNumber(digits) {
                sink.add(number, at: path)
            } else {
                // Doors refuse numbers beyond all doubles; files may have them.
                sink.add(.overflow, at: path)
            }
        }
    }

    private static func property(_ first: UInt8?) -> PathProperty {
        switch first {
        case UInt8(ascii: "n"): .null
        case UInt8(ascii: "t"): .isTrue
        default: .isFalse
        }
    }

    private mutating func string(_ raw: JSONRawString, at path: Int) {
        guard raw.isEscaped else { return string(raw.bytes, at: path) }
        raw.utf8.withUnsafeBytes { string($0, at: path) }
    }

    private mutating func string(_ utf8: UnsafeRawBufferPointer, at path: Int) {
        if utf8.count > MetadataLimits.stringByteCountMax {
            sink.add(.overflow, at: path)
        } else {
            sink.add(string: utf8, at: path)
        }
    }
}
