extension NpyElement {
    /// Converts a run of vector elements to f32, or copies them where they are u8 or f32.
    ///
    /// Values beyond f32's range become infinite, and those too small for it the smallest there is:
    /// both are refused by row and element, where the vector holds nothing larger.
    /// - Precondition: The target has room for exactly the converted elements; integers wider than
    ///   8 bits are no vector elements.
    func convert(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) {
        switch self {
        case .u8, .f32:
            precondition(source.count == target.count, "copy of another size")
            target.copyMemory(from: source)
        case .f64: widen(source, into: target) { (bits: UInt64) in float(Double(bitPattern: bits)) }
        case .f16: widen(source, into: target, floatOfHalf)
        case .i8: widen(source, into: target) { (bits: UInt8) in Float(Int8(bitPattern: bits)) }
        case .u32, .i32, .u64, .i64: preconditionFailure("\(self) is no vector element")
        }
    }
}

/// The nearest number of 32 bits, but zero only for zero: a vector of numbers that are too small
/// must not pass for one of zeros.
@inline(__always)
func float(_ value: Double) -> Float {
    let near = Float(value)
    guard near == 0, value != 0 else { return near }
    return value < 0 ? -.leastNonzeroMagnitude : .leastNonzeroMagnitude
}

@inline(__always)
private func widen<Bits: FixedWidthInteger>(
    _ source: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer,
    _ convert: (Bits) -> Float
) {
    let size = MemoryLayout<Bits>.size
    let count = source.count / size
    precondition(target.count == count * 4, "conversion of another size")
    for index in 0..<count {
        let bits = source.loadUnaligned(fromByteOffset: index * size, as: Bits.self)
        target.storeBytes(
            of: convert(Bits(littleEndian: bits)).bitPattern.littleEndian,
            toByteOffset: index * 4,
            as: UInt32.self
        )
    }
}

/// The value of an IEEE 754 half, exactly.
///
/// By shifting the fields in place and scaling: no table, no branch, no library call, so that
/// loops over it become vector instructions (Giesen, "Half to float done quick", 2012).
@inline(__always)
func floatOfHalf(_ bits: UInt16) -> Float {
    let fields = UInt32(bits & 0x7FFF) << 13
    let sign = UInt32(bits & 0x8000) << 16
    // The exponents' biases differ by 112; the product also turns subnormals into normal numbers.
    let scaled = (Float(bitPattern: fields) * 0x1p112).bitPattern
    let isSpecial = bits & 0x7C00 == 0x7C00
    return Float(bitPattern: sign | (isSpecial ? fields | 0x7F80_0000 : scaled))
}
