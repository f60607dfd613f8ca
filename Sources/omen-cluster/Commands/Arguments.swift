internal import ArgumentParser
internal import OmenCore
internal import OmenFormats

/// `--metric`.
enum MetricArgument: String, ExpressibleByArgument, CaseIterable {
    case l2, cosine, ip

    var metric: Metric {
        switch self {
        case .l2: .l2
        case .cosine: .cosine
        case .ip: .ip
        }
    }
}

/// `--codes`.
enum CodesArgument: String, ExpressibleByArgument, CaseIterable {
    case f32, u8, u4, u1

    var codes: CodeKind {
        switch self {
        case .f32: .f32
        case .u8: .u8
        case .u4: .u4
        case .u1: .u1
        }
    }
}

/// `--element`.
enum NumberArgument: String, ExpressibleByArgument, CaseIterable {
    case f32, u8

    var element: ElementType { self == .f32 ? .f32 : .u8 }
}

/// `--durability`.
enum DurabilityArgument: String, ExpressibleByArgument, CaseIterable {
    case always, interval, none
}

/// An id as typed; see `RecordID.init(typed:)`.
struct IDArgument: ExpressibleByArgument {
    let id: RecordID

    init?(argument: String) {
        do throws(OmenError) {
            id = try RecordID(typed: argument)
        } catch { return nil }
    }
}

extension RecordID {
    var json: JSON {
        switch self {
        case .number(let value): .unsigned(value)
        case .text(let text): .string(text)
        }
    }
}

/// The elements of a vector as JSON numbers.
func vectorJSON(_ bytes: [UInt8], element: ElementType) -> JSON {
    switch element {
    case .u8: return .array(bytes.map { .integer(Int($0)) })
    case .f32:
        return bytes.withUnsafeBytes { buffer in
            .array(
                stride(from: 0, to: buffer.count - 3, by: 4).map { offset in
                    let bits = buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                    return .float(Float(bitPattern: UInt32(littleEndian: bits)))
                }
            )
        }
    }
}

extension CollectionSchema {
    func json(name: String) -> JSON {
        .object([
            ("name", .string(name)),
            ("dim", .integer(dim)),
            ("metric", .string("\(metric)")),
            ("element", .string("\(element)")),
            ("codes", .string("\(codes)")),
            ("m", .integer(m)),
            ("ef_construction", .integer(efConstruction)),
        ])
    }
}
