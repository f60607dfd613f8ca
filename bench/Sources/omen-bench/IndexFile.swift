internal import OmenSystem
internal import Glibc
internal import OmenCore
internal import OmenIndex

/// A built index kept between runs of the benchmark, so that searching is tuned without building.
///
/// For this machine and this build only: each section as its number and byte count, `UInt64` both,
/// then its bytes. Shards are written by `OmenStorage`, with checksums.
enum IndexFile {
    static func save(_ index: VectorIndex, to path: String) throws {
        guard let file = fopen(path, "wb") else { throw Failure("cannot write \(path)") }
        defer { fclose(file) }
        let snapshot = index.freeze()
        defer { index.thaw() }
        for (section, bytes) in snapshot.sections {
            let header = [UInt64(section.rawValue), UInt64(bytes.count)]
            guard fwrite(header, 8, 2, file) == 2,
                fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count
            else { throw Failure("cannot write \(path)") }
        }
    }

    static func load(_ path: String, schema: CollectionSchema) throws -> VectorIndex {
        guard let file = fopen(path, "rb") else { throw Failure("cannot open \(path)") }
        defer { fclose(file) }
        var sections: [VectorIndex.Section: (region: ReservedRegion, byteCount: Int)] = [:]
        var header: [UInt64] = [0, 0]
        while fread(&header, 8, 2, file) == 2 {
            guard let number = UInt32(exactly: header[0]), let byteCount = Int(exactly: header[1]),
                let section = VectorIndex.Section(rawValue: number)
            else { throw Failure("\(path): section \(header[0])") }
            let byteCountMax = VectorIndex.regionByteCountMax(section, schema: schema)
            let region = try ReservedRegion(byteCountMax: max(byteCountMax, 1))
            // Before the pages are touched: small pages are not merged into large ones later.
            if byteCount > 1 << 20 { madvise(region.base, byteCountMax, MADV_HUGEPAGE) }
            guard byteCount <= byteCountMax, fread(region.base, 1, byteCount, file) == byteCount
            else { throw Failure("\(path) is cut short") }
            sections[section] = (region, byteCount)
        }
        return try VectorIndex(schema: schema, sections: sections)
    }
}
