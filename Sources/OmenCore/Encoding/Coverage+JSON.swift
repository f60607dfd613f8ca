extension OmenError.Code {
    /// The code as answers in JSON spell it; `docs/PROTOCOL.md` ("Errors") lists the names.
    package var name: String {
        switch self {
        case .badRequest: "bad_request"
        case .notFound: "not_found"
        case .alreadyExists: "already_exists"
        case .unavailable: "unavailable"
        case .unknownOutcome: "unknown_outcome"
        case .resourceExhausted: "resource_exhausted"
        case .corrupt: "corrupt"
        case .locked: "locked"
        case .unsupportedVersion: "unsupported_version"
        case .ioFailure: "io_failure"
        case .protocolViolation: "protocol_violation"
        case .stopped: "stopped"
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
