internal import OmenSystem
internal import Glibc
package import OmenCore

/// The bytes of a file that nobody changes, mapped read-only for the object's life.
///
/// A file that shrinks meanwhile, or a disk that fails, kills the process with SIGBUS at the read.
package final class MappedFile: @unchecked Sendable {
    /// All bytes of the file; valid while the object lives.
    package let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// Maps a regular file.
    package convenience init(path: String) throws(OmenError) {
        try self.init(try File(path, .read))
    }

    init(_ file: File) throws(OmenError) {
        let count = try file.byteCount()
        isMapped = count > 0
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.descriptor, 0)
        guard let address, address != MAP_FAILED else {
            let code = errno
            guard code == ENOMEM else { throw systemError("mmap", file.path, code) }
            let error = AddressSpace.refusal(count, code)
            throw OmenError(error.code, "\(file.path): \(error.message)")
        }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    /// A copy of bytes in memory, for storages that are not on a disk.
    package init(copying source: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 16)
        copy.copyBytes(from: source)
        bytes = UnsafeRawBufferPointer(copy)
        isMapped = false
    }

    deinit {
        guard let base = bytes.baseAddress else { return }
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
        } else {
            bytes.deallocate()
        }
    }

    /// Tells the kernel that the bytes will be read once, in order.
    package func adviseSequential() {
        guard isMapped, let base = bytes.baseAddress else { return }
        madvise(UnsafeMutableRawPointer(mutating: base), bytes.count, MADV_SEQUENTIAL)
    }
}
