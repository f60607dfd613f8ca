internal import Glibc
internal import OmenCore

/// A two-dimensional array from a `.npy` file (NumPy format 1.0 or 2.0, C order).
struct NumpyFile {
    let rows: Int
    let columns: Int
    /// `|u1`, `<f4`, `<f2` or `<i4`.
    let type: String
    let bytes: [UInt8]

    init(path: String) throws {
        let file = try Self.readFile(path)
        guard file.count > 12, file[0] == 0x93, file[1...5].elementsEqual("NUMPY".utf8) else {
            throw Failure("\(path) is no .npy file")
        }
        let isFirst = file[6] == 1
        let headerStart = isFirst ? 10 : 12
        var headerByteCount = Int(file[8]) | Int(file[9]) << 8
        if !isFirst { headerByteCount |= Int(file[10]) << 16 | Int(file[11]) << 24 }
        guard headerStart + headerByteCount <= file.count else { throw Failure("\(path): header") }
        let header = String(
            decoding: file[headerStart..<headerStart + headerByteCount],
            as: UTF8.self
        )
        guard header.contains("'fortran_order': False") else {
            throw Failure("\(path) is in Fortran order")
        }
        guard let type = Self.between(header, "'descr': '", "'"),
            let shape = Self.between(header, "'shape': (", ")")
        else { throw Failure("\(path): header \(header)") }
        let sizes = shape.split(separator: ",").compactMap {
            Int($0.drop { $0 == " " })
        }
        guard sizes.count == 2 else { throw Failure("\(path): shape (\(shape))") }
        self.type = type
        rows = sizes[0]
        columns = sizes[1]
        bytes = Array(file[(headerStart + headerByteCount)...])
        guard let width = type.last.flatMap({ Int(String($0)) }),
            bytes.count == rows * columns * width
        else { throw Failure("\(path): \(bytes.count) bytes for \(sizes) of \(type)") }
    }

    /// Vectors in an element type of ours: u8 stays, f2 and f4 become f32.
    func vectors() throws -> (element: ElementType, bytes: [UInt8]) {
        switch type {
        case "|u1": return (.u8, bytes)
        case "<f4": return (.f32, bytes)
        case "<f2":
            let floats = bytes.withUnsafeBytes { raw in
                raw.bindMemory(to: Float16.self).map(Float.init)
            }
            return (.f32, floats.withUnsafeBytes(Array.init))
        default: throw Failure("vectors of type \(type)")
        }
    }

    func int32s() throws -> [Int32] {
        guard type == "<i4" else { throw Failure("neighbours of type \(type)") }
        return bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    }

    private static func between(_ text: String, _ start: String, _ end: Character) -> String? {
        guard let found = text.range(of: start) else { return nil }
        return String(text[found...].prefix { $0 != end })
    }

    private static func readFile(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw Failure("cannot open \(path)") }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let count = ftell(file)
        rewind(file)
        guard count >= 0 else { throw Failure("cannot read \(path)") }
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            used = fread(buffer.baseAddress, 1, count, file)
            guard used == count else { throw Failure("\(path) is cut short") }
        }
    }
}

extension String {
    /// The index just behind the first occurrence of `text`.
    fileprivate func range(of text: String) -> String.Index? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}

/// What stops the benchmark; the text is for its user.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
