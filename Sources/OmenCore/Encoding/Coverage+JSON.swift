extension OmenError.Code {
    /// The code as documents name it: words in small letters, joined by `_`.
    package var name: String {
        "\(self)".reduce(into: "") { name, letter in
            if letter.isUppercase { name.append("_") }
            name += letter.lowercased()
        }
    }
}

extension Coverage {
    /// What every answer in JSON tells: `partial`, and `shards` with each one that is missing.
    ///
    /// - Complexity: O(missing shards).
    package var members: [(String, JSON)] {
        [("partial", .bool(isPartial)), ("shards", shards)]
    }

    /// `{"total": ..., "failed": [{"shard": ..., "code": ..., "detail": ...}]}`.
    private var shards: JSON {
        let failed = failures.map { failure in
            JSON.object([
                ("shard", .integer(Int(failure.shard))),
                ("code", .string(failure.error.code.name)),
                ("detail", .string(failure.error.message)),
            ])
        }
        return .object([("total", .integer(Int(shardsTotal))), ("failed", .array(failed))])
    }
}
