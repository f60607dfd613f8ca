internal import CMalloc
internal import Glibc
package import OmenCore

/// What the system knows of this process's memory.
package enum ProcessMemory {
    /// Bytes of this process that are in RAM, shared file pages included (proc(5), statm).
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read.
    package static func residentByteCount() throws(OmenError) -> Int {
        let path = "/proc/self/statm"
        guard let file = fopen(path, "re") else {
            throw OmenError(.ioFailure, "cannot open \(path)")
        }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 256)
        let count = fread(&line, 1, line.count, file)
        let fields = line[..<count].split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else {
            throw OmenError(.ioFailure, "\(path) has no second number")
        }
        return pages * Int(getpagesize())
    }

    /// Makes the allocator keep little of what is freed; call it before there is a second thread.
    ///
    /// One heap for all threads: they allocate seldom, and each heap keeps its own leftovers. Large
    /// blocks are mapped each for itself, so that freeing them gives them back.
    package static func keepLittle() {
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, 1 << 20)
        mallopt(M_TRIM_THRESHOLD, 4 << 20)
    }

    /// Gives memory that was freed back to the system, which the allocator keeps otherwise.
    package static func returnFreed() { malloc_trim(0) }
}
