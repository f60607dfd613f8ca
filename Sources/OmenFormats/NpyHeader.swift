package import OmenCore

/// Number types of `.npy` files that we read, little-endian.
package enum NpyElement: String, Sendable, CaseIterable {
    case f64 = "f8"
    case f32 = "f4"
    case f16 = "f2"
    case u8 = "u1"
    case i8 = "i1"
    case u32 = "u4"
    case i32 = "i4"
    case u64 = "u8"
    case i64 = "i8"

    /// Bytes of one element.
    package var byteCount: Int {
        switch self {
        case .u8, .i8: 1
        case .f16: 2
        case .f32, .u32, .i32: 4
        case .f64, .u64, .i64: 8
        }
    }
}

/// The head of a `.npy` file (NumPy enhancement proposal 1; format versions 1, 2 and 3).
///
///     offset size field
///          0    6 magic         93 'N' 'U' 'M' 'P' 'Y'
///          6    1 major         1, 2 or 3
///          7    1 minor         not looked at
///          8    2 headerLength  4 bytes from version 2 on; little-endian
///         10    n header        a Python dictionary: 'descr', 'fortran_order', 'shape'
///     10 + n      the elements, without padding
package struct NpyHeader: Equatable, Sendable {
    package let element: NpyElement
    /// Lengths of the dimensions, slowest first.
    package let shape: [Int]
    /// Where the elements begin.
    package let dataOffset: Int
    /// Elements in all: the product of `shape`.
    package let elementCount: Int

    /// Reads the head and checks that exactly its elements follow.
    ///
    /// - Throws: `.badRequest` naming what was expected and what was seen.
    package init(_ bytes: UnsafeRawBufferPointer) throws(OmenError) {
        let (header, dataOffset) = try Self.dictionary(bytes)
        var parser = NpyDictionary(bytes: header)
        try parser.parse()
        guard let shape = parser.shape else { throw npyError("the header has no 'shape'") }
        guard let order = parser.isFortranOrder else {
            throw npyError("the header has no 'fortran_order'")
        }
        guard !order else {
            throw npyError("fortran order, expected C order; numpy.ascontiguousarray() converts")
        }
        guard let descr = parser.descr else { throw npyError("the header has no 'descr'") }
        element = try Self.element(descr)
        self.shape = shape
        self.dataOffset = dataOffset

        var elementCount = 1
        for length in shape {
            let (product, overflow) = elementCount.multipliedReportingOverflow(by: length)
            guard !overflow else { throw npyError("shape \(shape) is too large") }
            elementCount = product
        }
        self.elementCount = elementCount
        let (byteCount, overflow) = elementCount.multipliedReportingOverflow(by: element.byteCount)
        let available = bytes.count - dataOffset
        guard !overflow, byteCount == available else {
            let what = !overflow && byteCount < available ? "too long" : "truncated"
            throw npyError(
                "\(what): shape \(shape) of \(element) needs \(overflow ? "more than 2^63" : "\(byteCount)") bytes after the header, \(available) are there"
            )
        }
    }

    /// The dictionary's text and the offset behind it.
    private static func dictionary(
        _ bytes: UnsafeRawBufferPointer
    ) throws(OmenError) -> (UnsafeRawBufferPointer, Int) {
        let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
        guard bytes.count >= 10 else {
            throw npyError("truncated: \(bytes.count) bytes, the header alone needs more")
        }
        guard bytes.prefix(magic.count).elementsEqual(magic) else {
            throw npyError("the first bytes are not those of a .npy file")
        }
        let major = bytes[6]
        guard (1...3).contains(major) else {
            throw npyError("format version \(major), expected 1, 2 or 3")
        }
        let start = major == 1 ? 10 : 12
        guard bytes.count >= start else {
            throw npyError("truncated: \(bytes.count) bytes, the header alone needs more")
        }
        let length =
            major == 1
            ? Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
            : Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        guard length <= bytes.count - start else {
            throw npyError(
                "truncated: the header needs \(length) bytes, \(bytes.count - start) are there"
            )
        }
        return (UnsafeRawBufferPointer(rebasing: bytes[start..<start + length]), start + length)
    }

    private static func element(_ descr: String) throws(OmenError) -> NpyElement {
        guard let order = descr.first, "<>|=".contains(order) else {
            throw npyError("dtype '\(descr)' is not understood")
        }
        let name = String(descr.dropFirst())
        guard let element = NpyElement(rawValue: name) else {
            let hint = name.hasPrefix("O") ? " (object: convert with .astype('f4'))" : ""
            let known = NpyElement.allCases.map { "\($0)" }.joined(separator: " ")
            throw npyError("dtype '\(descr)'\(hint), expected one of \(known)")
        }
        guard order != ">" || element.byteCount == 1 else {
            throw npyError("dtype '\(descr)' is big-endian, expected little-endian")
        }
        return element
    }
}

func npyError(_ message: String) -> OmenError { OmenError(.badRequest, ".npy: \(message)") }

/// Reads the three entries of the header's dictionary, a small part of Python's literals.
private struct NpyDictionary {
    let bytes: UnsafeRawBufferPointer
    var offset = 0
    var descr: String?
    var isFortranOrder: Bool?
    var shape: [Int]?

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private func unexpected(_ expected: String) -> OmenError {
        let seen = peek.map { "byte \($0)" } ?? "the end"
        return npyError("header: expected \(expected) at its byte \(offset), saw \(seen)")
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || (0x09...0x0D).contains(byte) { offset += 1 }
    }

    private mutating func accept(_ byte: UInt8) -> Bool {
        skipSpace()
        guard peek == byte else { return false }
        offset += 1
        return true
    }

    mutating func parse() throws(OmenError) {
        guard accept(UInt8(ascii: "{")) else { throw unexpected("'{'") }
        while !accept(UInt8(ascii: "}")) {
            let key = try string()
            guard accept(UInt8(ascii: ":")) else { throw unexpected("':'") }
            switch key {
            case "descr":
                guard !accept(UInt8(ascii: "[")) else {
                    throw npyError("structured dtype, expected a number type")
                }
                descr = try string()
            case "fortran_order": isFortranOrder = try boolean()
            case "shape": shape = try tuple()
            default: throw npyError("header: unknown key '\(key)'")
            }
            if !accept(UInt8(ascii: ",")) {
                guard accept(UInt8(ascii: "}")) else { throw unexpected("',' or '}'") }
                break
            }
        }
        skipSpace()
        guard peek == nil else { throw unexpected("the end") }
    }

    private mutating func string() throws(OmenError) -> String {
        skipSpace()
        guard let quote = peek, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
            throw unexpected("a string")
        }
        offset += 1
        let start = offset
        while let byte = peek, byte != quote {
            guard (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "\\") else {
                throw unexpected("a plain character")
            }
            offset += 1
        }
        guard peek == quote else { throw unexpected("a quote") }
        offset += 1
        return String(decoding: bytes[start..<offset - 1], as: UTF8.self)
    }

    private mutating func boolean() throws(OmenError) -> Bool {
        skipSpace()
        for (word, value) in [("True", true), ("False", false)] {
            if bytes[offset...].starts(with: word.utf8) {
                offset += word.utf8.count
                return value
            }
        }
        throw unexpected("True or False")
    }

    private mutating func tuple() throws(OmenError) -> [Int] {
        guard accept(UInt8(ascii: "(")) else { throw unexpected("'('") }
        var lengths: [Int] = []
        while !accept(UInt8(ascii: ")")) {
            lengths.append(try integer())
            // NumPy itself stops at 32 dimensions; 64 since version 2.
            guard lengths.count <= 64 else { throw npyError("header: more than 64 dimensions") }
            if !accept(UInt8(ascii: ",")) {
                guard accept(UInt8(ascii: ")")) else { throw unexpected("',' or ')'") }
                break
            }
        }
        return lengths
    }

    private mutating func integer() throws(OmenError) -> Int {
        skipSpace()
        let start = offset
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            offset += 1
        }
        let digits = String(decoding: bytes[start..<offset], as: UTF8.self)
        guard let value = Int(digits) else { throw unexpected("a length below 2^63") }
        // Files written by Python 2 carry its suffix of long integers.
        if peek == UInt8(ascii: "L") { offset += 1 }
        return value
    }
}
