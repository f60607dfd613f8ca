import OmenCore
import OmenFormats

/// A `.npy` file made by hand, so that tests do not lean on the code they test.
func npy(
    descr: String,
    shape: String,
    order: String = "False",
    data: [UInt8],
    version: UInt8 = 1
) -> [UInt8] {
    npy(
        header: "{'descr': '\(descr)', 'fortran_order': \(order), 'shape': \(shape), }",
        data: data,
        version: version
    )
}

func npy(header text: String, data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let lengthByteCount = version == 1 ? 2 : 4
    var header = Array(text.utf8)
    // NumPy pads the header so that the data begin at a multiple of 64.
    while (8 + lengthByteCount + header.count + 1) % 64 != 0 { header.append(0x20) }
    header.append(0x0A)
    var length = header.count
    var file: [UInt8] = [0x93] + Array("NUMPY".utf8) + [version, 0]
    for _ in 0..<lengthByteCount {
        file.append(UInt8(length & 0xFF))
        length >>= 8
    }
    return file + header + data
}

func littleEndian<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}

func littleEndian(_ values: [Float]) -> [UInt8] { littleEndian(values.map(\.bitPattern)) }

func floats(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 4).map { start in
        Float(
            bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << (8 * $1) }
        )
    }
}

func matrix(_ file: [UInt8]) throws -> (rows: Int, dim: Int, element: ElementType, data: [UInt8]) {
    try file.withUnsafeBytes { bytes in
        let matrix = try VectorMatrix(npy: bytes)
        return (matrix.rowCount, matrix.dim, matrix.element, try matrix.rows(0..<matrix.rowCount))
    }
}

/// The message of the error that `body` throws; empty when it throws none.
func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return ""
    } catch let error as OmenError {
        return error.message
    } catch {
        return "\(error)"
    }
}
