internal import ArgumentParser
internal import OmenCoordinator
internal import OmenCore

/// A number of bytes as people write it: `1073741824`, `1GiB`, `512 MiB`, `2GB`.
struct ByteCount: Equatable {
    var bytes: Int

    /// - Throws: `.badRequest` saying what was expected.
    init(text: String) throws(OmenError) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text[digits.endIndex...].drop { $0 == " " }
        guard let number = Int(digits), let scale = Self.scale(String(unit)) else {
            throw OmenError(
                .badRequest,
                "'\(text)' is no number of bytes, expected a whole number, and a unit where it is not bytes: KiB, MiB, GiB, TiB, kB, MB, GB or TB"
            )
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: scale)
        self.bytes = overflow ? .max : bytes
    }

    private static func scale(_ unit: String) -> Int? {
        switch unit.lowercased() {
        case "", "b": 1
        case "kib": 1 << 10
        case "mib": 1 << 20
        case "gib": 1 << 30
        case "tib": 1 << 40
        case "kb": 1_000
        case "mb": 1_000_000
        case "gb": 1_000_000_000
        case "tb": 1_000_000_000_000
        default: nil
        }
    }

    /// - Throws: `.badRequest` when it is no limit for the coordinator's memory.
    func checkedAsMemoryLimit() throws(OmenError) -> Int {
        let range = Limits.memoryLimitMin...Limits.memoryLimitMax
        guard range.contains(bytes) else {
            throw OmenError(
                .badRequest,
                "memory limit is \(bytes) bytes, expected \(range.lowerBound) (256 MiB) to \(range.upperBound) (16 TiB)"
            )
        }
        return bytes
    }
}

extension ByteCount: ExpressibleByArgument {
    init?(argument: String) {
        do throws(OmenError) { try self.init(text: argument) } catch { return nil }
    }
}
