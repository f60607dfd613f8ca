internal import OmenCore

/// A catalog as it was built, in memory: the bytes of its two sections.
///
/// `@unchecked`: nothing changes the bytes after `init`.
package final class CatalogImage: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    private let directoryByteCount: Int
    private let dataAt: Int
    /// Bytes that are copied in a few microseconds.
    private static let step = 1 << 16

    /// Bytes of the section `directory`.
    package var directory: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[..<directoryByteCount])
    }

    /// Bytes of the section `data`.
    package var data: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[dataAt...]) }

    init(_ directory: CatalogDirectory, _ paths: [[UInt8]], breathe: () -> Void) {
        let bytes = directory.bytes()
        directoryByteCount = bytes.count
        dataAt = (bytes.count + 7) / 8 * 8
        memory = .allocate(byteCount: dataAt + directory.dataByteCount, alignment: 8)
        memory.copyBytes(from: bytes)
        var at = dataAt
        for path in paths {
            for start in stride(from: 0, to: path.count, by: Self.step) {
                let part = path[start..<min(start + Self.step, path.count)]
                UnsafeMutableRawBufferPointer(rebasing: memory[(at + start)...])
                    .copyBytes(from: part)
                breathe()
            }
            at += path.count
        }
    }

    deinit { memory.deallocate() }
}
