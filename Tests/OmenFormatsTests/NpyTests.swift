import OmenCore
import OmenFormats
import Testing

@testable import OmenFormats

@Suite struct NpyTests {
    @Test(arguments: [UInt8(1), 2, 3])
    func readsEveryFormatVersion(version: UInt8) throws {
        let data = littleEndian([Float(1), -2.5, 3, 4, 5, 6])
        let file = npy(descr: "<f4", shape: "(2, 3)", data: data, version: version)
        let read = try matrix(file)
        #expect(read.rows == 2 && read.dim == 3 && read.element == .f32)
        #expect(read.data == data)
    }

    @Test func keepsBytesAndWidensTheRest() throws {
        let bytes = try matrix(npy(descr: "|u1", shape: "(2, 2)", data: [0, 1, 254, 255]))
        #expect(bytes.element == .u8 && bytes.data == [0, 1, 254, 255])

        let signed = try matrix(npy(descr: "|i1", shape: "(1, 3)", data: [0, 127, 128]))
        #expect(signed.element == .f32 && floats(signed.data) == [0, 127, -128])

        let halves = littleEndian([UInt16(0x3C00), 0xC000, 0x0001])
        let half = try matrix(npy(descr: "<f2", shape: "(1, 3)", data: halves))
        #expect(floats(half.data) == [1, -2, 0x1p-24])

        let doubles = littleEndian([Double(0.1), 1e300].map(\.bitPattern))
        let double = try matrix(npy(descr: "<f8", shape: "(1, 2)", data: doubles))
        #expect(floats(double.data) == [Float(0.1), .infinity])
    }

    @Test func everyHalfHasItsValue() {
        for bits in UInt16.min...UInt16.max {
            let expected = Float(Float16(bitPattern: bits))
            let value = floatOfHalf(bits)
            #expect(value.bitPattern == expected.bitPattern || (value.isNaN && expected.isNaN))
        }
    }

    @Test func givesAnyRangeOfRows() throws {
        let file = npy(descr: "|i1", shape: "(4, 2)", data: [0, 1, 2, 3, 4, 5, 6, 7])
        try file.withUnsafeBytes { bytes in
            let matrix = try VectorMatrix(npy: bytes)
            #expect(floats(try matrix.rows(1..<3)) == [2, 3, 4, 5])
            #expect(try matrix.rows(4..<4) == [])
        }
    }

    @Test(arguments: [
        ("<f4", "(2, 3)", "True", 24, "fortran order, expected C order"),
        ("|O", "(2, 3)", "False", 48, "dtype '|O' (object"),
        (">f4", "(2, 3)", "False", 24, "dtype '>f4' is big-endian"),
        ("<c8", "(2, 3)", "False", 48, "dtype '<c8', expected one of f64 f32"),
        ("<f4", "(6,)", "False", 24, "1 dimensions (shape [6]), expected 2"),
        ("<f4", "(1, 2, 3)", "False", 24, "3 dimensions"),
        ("<f4", "()", "False", 4, "0 dimensions"),
        ("<i8", "(2, 3)", "False", 48, "vectors of i64, expected f64"),
        ("<f4", "(2, 3)", "False", 23, "truncated: shape [2, 3] of f32 needs 24 bytes"),
        ("<f4", "(2, 3)", "False", 25, "too long: shape [2, 3] of f32 needs 24 bytes"),
        ("<f4", "(2, 0)", "False", 0, "vectors have 0 dimensions, expected 1...8192"),
        ("|u1", "(1, 8193)", "False", 8193, "vectors have 8193 dimensions"),
        ("<f4", "(4611686018427387904, 4)", "False", 24, "is too large"),
        ("<f4", "(4611686018427387904, 1)", "False", 24, "needs more than 2^63 bytes"),
        ("<f4", "(99999999999999999999, 1)", "False", 24, "a length below 2^63"),
        ("<f4", "(-1, 3)", "False", 24, "a length below 2^63"),
    ])
    func namesWhatIsWrong(
        descr: String,
        shape: String,
        order: String,
        byteCount: Int,
        expected: String
    ) {
        let data = [UInt8](repeating: 0, count: byteCount)
        let file = npy(descr: descr, shape: shape, order: order, data: data)
        let seen = message { _ = try matrix(file) }
        #expect(seen.contains(expected), "\(seen)")
    }

    @Test(arguments: [
        ("{'fortran_order': False, 'shape': (1, 1)}", "no 'descr'"),
        ("{'descr': '|u1', 'shape': (1, 1)}", "no 'fortran_order'"),
        ("{'descr': '|u1', 'fortran_order': False}", "no 'shape'"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "structured dtype"),
        ("{'descr': '|u1', 'fortran_order': 0, 'shape': (1, 1)}", "expected True or False"),
        ("{'descr': '', 'fortran_order': False, 'shape': (1, 1)}", "not understood"),
        ("{'colour': 'red'}", "unknown key 'colour'"),
        ("{'descr': '|u1'", "expected ',' or '}'"),
        ("['descr']", "expected '{'"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1)} x", "expected the end"),
    ])
    func refusesBrokenHeaders(header: String, expected: String) {
        let seen = message { _ = try matrix(npy(header: header, data: [1])) }
        #expect(seen.contains(expected), "\(seen)")
    }

    @Test func refusesEveryTruncation() throws {
        let file = npy(descr: "<f4", shape: "(2, 3)", data: littleEndian([Float](1...6)))
        for count in 0..<file.count {
            let seen = message { _ = try matrix(Array(file[..<count])) }
            #expect(seen.contains("truncated") || seen.contains("first bytes"), "\(count): \(seen)")
        }
    }

    @Test func survivesRandomHeaders() {
        let seed = UInt64.random(in: .min ... .max)
        // Printed first: a trap would leave nothing else behind.
        print("survivesRandomHeaders: seed \(seed)")
        var random = SplitMix64(seed: seed)
        let file = npy(descr: "<f4", shape: "(2, 3)", data: littleEndian([Float](1...6)))
        var refusedCount = 0
        for _ in 0..<20_000 {
            var mutant = file
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<70, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: mutant[place] = UInt8.random(in: 0...255, using: &random)
                case 1: mutant[place] = UInt8.random(in: 0x20..<0x7F, using: &random)
                default: mutant.remove(at: place)
                }
            }
            if message({ _ = try matrix(mutant) }) != "" { refusedCount += 1 }
        }
        #expect(refusedCount > 10_000, "seed \(seed): a broken header was accepted too often")
    }
}

extension [Float] {
    init(_ range: ClosedRange<Int>) { self = range.map(Float.init) }
}
