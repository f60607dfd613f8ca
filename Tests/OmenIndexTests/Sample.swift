import Glibc
import Testing

/// Real descriptors of `bench/sample`.
enum Sample {
    /// The rows of a two-dimensional `.npy` file of bytes.
    static func rows(_ name: String) throws -> [[UInt8]] {
        let parts = #filePath.split(separator: "/").dropLast(3)
        let path = "/" + (parts + ["bench", "sample", Substring(name)]).joined(separator: "/")
        let file = try #require(fopen(path, "rb"), "cannot open \(path)")
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let count = ftell(file)
        rewind(file)
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            used = fread(buffer.baseAddress, 1, count, file)
        }
        let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
        let header = String(decoding: bytes[10..<start], as: UTF8.self)
        try #require(header.contains("'|u1'") && header.contains(", 128)"), "\(header)")
        return stride(from: start, to: count, by: 128).map { Array(bytes[$0..<$0 + 128]) }
    }
}
