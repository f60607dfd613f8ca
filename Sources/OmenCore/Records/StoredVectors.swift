/// The full vectors of a collection where they lie in this process.
///
/// Rows never change, and the memory stays until this value goes, also when the collection is built
/// again or dropped meanwhile.
package struct StoredVectors: Sendable {
    package let element: ElementType
    package let dim: Int
    /// Bytes from one row to the next.
    package let stride: Int
    /// Rows there are, deleted ones included.
    package let rowCount: Int
    /// Keeps the memory.
    private let owner: any AnyObject & Sendable
    private let address: UInt

    /// - Parameters:
    ///   - owner: While it lives, the memory stays as it is.
    ///   - base: The first row.
    ///   - schema: Of the collection.
    ///   - stride: Bytes from one row to the next.
    ///   - rowCount: Rows there are, deleted ones included.
    package init(
        _ owner: any AnyObject & Sendable,
        base: UnsafeRawPointer,
        schema: CollectionSchema,
        stride: Int,
        rowCount: Int
    ) {
        self.owner = owner
        address = UInt(bitPattern: base)
        element = schema.element
        dim = schema.dim
        self.stride = stride
        self.rowCount = rowCount
    }

    /// The first row.
    package var base: UnsafeRawPointer {
        guard let base = UnsafeRawPointer(bitPattern: address) else {
            preconditionFailure("vectors without memory")
        }
        return base
    }
}

/// Where the vectors of some records lie in this process.
package struct RowPlaces: Sendable {
    /// Row of each record in `vectors`.
    package let rows: [UInt32]
    package let vectors: StoredVectors

    package init(rows: [UInt32], vectors: StoredVectors) {
        self.rows = rows
        self.vectors = vectors
    }
}
