import OmenCore
import OmenFormats
import Testing

@Suite struct VecsTests {
    private func row(_ head: Int32, _ data: [UInt8]) -> [UInt8] { littleEndian([head]) + data }

    @Test func readsFloatsAndBytes() throws {
        let floatFile = row(2, littleEndian([Float(1), 2])) + row(2, littleEndian([Float(3), 4]))
        try floatFile.withUnsafeBytes { bytes in
            let matrix = try VectorMatrix(fvecs: bytes)
            #expect(matrix.rowCount == 2 && matrix.dim == 2 && matrix.element == .f32)
            #expect(floats(try matrix.rows(0..<2)) == [1, 2, 3, 4])
            #expect(floats(try matrix.rows(1..<2)) == [3, 4])
        }
        let byteFile = row(3, [1, 2, 3]) + row(3, [4, 5, 6])
        try byteFile.withUnsafeBytes { bytes in
            let matrix = try VectorMatrix(bvecs: bytes)
            #expect(matrix.element == .u8)
            #expect(try matrix.rows(0..<2) == [1, 2, 3, 4, 5, 6])
        }
    }

    @Test func readsNeighbours() throws {
        let file = row(2, littleEndian([Int32(7), 8])) + row(2, littleEndian([Int32(9), -1]))
        try file.withUnsafeBytes { bytes in
            let matrix = try IntegerMatrix(ivecs: bytes)
            #expect(matrix.rowCount == 2 && matrix.columnCount == 2)
            #expect(matrix.value(row: 0, column: 1) == 8)
            #expect(matrix.value(row: 1, column: 0) == 9)
            #expect(matrix.value(row: 1, column: 1) == nil)
        }
    }

    @Test func refusesEveryTruncationAndStrayHeads() {
        let file = row(2, littleEndian([Float(1), 2])) + row(2, littleEndian([Float(3), 4]))
        for count in 0..<file.count where count != file.count / 2 {
            let seen = Array(file[..<count]).withUnsafeBytes { bytes in
                message { _ = try VectorMatrix(fvecs: bytes) }
            }
            #expect(seen.contains("truncated") || seen.contains("empty"), "\(count): \(seen)")
        }
        let stray = row(2, [1, 2]) + row(3, [3, 4])
        let seen = stray.withUnsafeBytes { bytes in
            message { _ = try VectorMatrix(bvecs: bytes).rows(0..<2) }
        }
        #expect(seen == "row 1 has 3 dimensions, the first row has 2")
        for head in [Int32(0), -1, .min, .max] {
            let seen = row(head, [0, 0, 0, 0]).withUnsafeBytes { bytes in
                message { _ = try VectorMatrix(fvecs: bytes) }
            }
            #expect(seen != "", "head \(head)")
        }
    }

    @Test(arguments: [
        ("<i4", littleEndian([Int32(1), -1])), ("<u4", littleEndian([UInt32(1), .max])),
        ("<i8", littleEndian([Int64(1), -1])), ("<u8", littleEndian([UInt64(1), .max])),
        ("|i1", [1, 255]), ("|u1", [1, 255]),
    ])
    func readsIdsOfEveryWidth(descr: String, data: [UInt8]) throws {
        for shape in ["(2,)", "(2, 1)"] {
            try npy(descr: descr, shape: shape, data: data).withUnsafeBytes { bytes in
                let matrix = try IntegerMatrix(npy: bytes)
                #expect(matrix.rowCount == 2 && matrix.columnCount == 1)
                #expect(matrix.value(row: 0, column: 0) == 1)
                let last = matrix.value(row: 1, column: 0)
                let isSigned = descr.contains("i")
                #expect(isSigned == (last == nil))
            }
        }
    }

    @Test func refusesFractionsAsIds() {
        let file = npy(descr: "<f4", shape: "(1,)", data: littleEndian([Float(1)]))
        let seen = file.withUnsafeBytes { bytes in message { _ = try IntegerMatrix(npy: bytes) } }
        #expect(seen.contains("numbers of f32, expected i32"))
    }
}
