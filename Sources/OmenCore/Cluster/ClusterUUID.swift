/// The name of one cluster for good, drawn when its data directory is made.
package struct ClusterUUID: Hashable, Sendable {
    /// The upper 64 bits.
    package var high: UInt64
    /// The lower 64 bits.
    package var low: UInt64

    /// A name from its two halves.
    ///
    /// - Parameters:
    ///   - high: The upper 64 bits.
    ///   - low: The lower 64 bits.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Stands for a cluster whose name the sender of a frame does not know; no cluster has it.
    package static let unknown = ClusterUUID(high: 0, low: 0)

    /// A new name from the system's random source.
    package static func random() -> ClusterUUID {
        ClusterUUID(high: .random(in: .min ... .max), low: .random(in: 1 ... .max))
    }
}

extension ClusterUUID: CustomStringConvertible {
    /// 32 lower-case hexadecimal digits.
    package var description: String { hexadecimal(high) + hexadecimal(low) }
}

/// 16 lower-case hexadecimal digits.
package func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
