/// Converting vectors to the element type that their collection stores.
extension VectorValidation {
    /// What is wrong with the row of f32 that `bytes` begins with where u8 is stored.
    ///
    /// - Precondition: `bytes` holds `dim` elements.
    /// - Returns: A `.badRequest` naming the first element that no `u8` holds; nil if all fit.
    package static func wholeFailure(
        _ bytes: UnsafeRawBufferPointer,
        number: Int,
        dim: Int,
        what: String = "vector"
    ) -> OmenError? {
        for index in 0..<dim {
            let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            guard UInt8(exactly: value) == nil else { continue }
            return OmenError(
                .badRequest,
                "\(what) \(number) element \(index) is \(value), the collection stores u8: whole numbers 0...255"
            )
        }
        return nil
    }

    /// Converts whole numbers 0...255 given as f32 into u8, or u8 into f32; the first row has the
    /// number `firstRow` in errors, which call it `what`.
    ///
    /// - Throws: `.badRequest` naming the first element a `u8` cannot hold.
    package static func convert(
        _ vectors: [UInt8],
        from source: ElementType,
        to target: ElementType,
        dim: Int,
        what: String = "vector",
        firstRow: Int = 0
    ) throws(OmenError) -> [UInt8] {
        switch (source, target) {
        case (.f32, .f32), (.u8, .u8): return vectors
        case (.u8, .f32):
            return [UInt8](unsafeUninitializedCapacity: vectors.count * 4) { target, count in
                let raw = UnsafeMutableRawBufferPointer(target)
                for (index, value) in vectors.enumerated() {
                    raw.storeBytes(of: Float(value), toByteOffset: index * 4, as: Float.self)
                }
                count = vectors.count * 4
            }
        case (.f32, .u8):
            let elementCount = vectors.count / 4
            var misfit: Int?
            let converted = [UInt8](unsafeUninitializedCapacity: elementCount) { target, count in
                vectors.withUnsafeBytes { bytes in
                    for index in 0..<elementCount {
                        let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                        guard let whole = UInt8(exactly: value) else {
                            misfit = index
                            break
                        }
                        target[index] = whole
                    }
                }
                count = misfit == nil ? elementCount : 0
            }
            if let misfit {
                let row = misfit / dim
                let error = vectors.withUnsafeBytes { bytes in
                    wholeFailure(
                        UnsafeRawBufferPointer(rebasing: bytes[(row * dim * 4)...]),
                        number: firstRow + row,
                        dim: dim,
                        what: what
                    )
                }
                if let error { throw error }
            }
            return converted
        }
    }
}
