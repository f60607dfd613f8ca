/// A JSON document to be written (RFC 8259), for the command line and the library alike.
///
/// Members keep their order, and stored metadata goes out as the text that it is.
package enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case unsigned(UInt64)
    case number(Double)
    /// Written with the digits that tell this 32-bit number from its neighbours, no more.
    case float(Float)
    case string(String)
    /// JSON text, already checked.
    case text([UInt8])
    case array([JSON])
    case object([(String, JSON)])

    /// The document in one line, without spaces.
    package var text: String {
        var utf8: [UInt8] = []
        append(to: &utf8)
        return String(decoding: utf8, as: UTF8.self)
    }

    private func append(to utf8: inout [UInt8]) {
        switch self {
        case .null: utf8 += "null".utf8
        case .bool(let value): utf8 += (value ? "true" : "false").utf8
        case .integer(let value): utf8 += "\(value)".utf8
        case .unsigned(let value): utf8 += "\(value)".utf8
        // JSON has no infinities.
        case .number(let value): utf8 += (value.isFinite ? "\(value)" : "null").utf8
        case .float(let value): utf8 += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): Self.append(value, to: &utf8)
        case .text(let value): utf8 += value
        case .array(let elements):
            utf8.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { utf8.append(UInt8(ascii: ",")) }
                element.append(to: &utf8)
            }
            utf8.append(UInt8(ascii: "]"))
        case .object(let members):
            utf8.append(UInt8(ascii: "{"))
            for (index, (key, value)) in members.enumerated() {
                if index > 0 { utf8.append(UInt8(ascii: ",")) }
                Self.append(key, to: &utf8)
                utf8.append(UInt8(ascii: ":"))
                value.append(to: &utf8)
            }
            utf8.append(UInt8(ascii: "}"))
        }
    }

    private static func append(_ string: String, to utf8: inout [UInt8]) {
        utf8.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): utf8 += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                utf8 += "\\u00".utf8
                utf8 += [digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
            default: utf8.append(byte)
            }
        }
        utf8.append(UInt8(ascii: "\""))
    }
}
