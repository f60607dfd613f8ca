internal import ArgumentParser
internal import OmenCore

/// What the process returns; 64 for wrong usage comes from the argument parser too.
enum ExitStatus {
    static let failure = ExitCode(1)
    /// EX_USAGE of sysexits.h.
    static let usage = ExitCode(64)
    /// EX_UNAVAILABLE: no cluster there, or it cannot answer.
    static let unavailable = ExitCode(69)
    /// EX_TEMPFAIL: a shard's part is missing, or trying again later may help.
    static let partial = ExitCode(75)
    /// As shells have it for what SIGINT ended.
    static let interrupted = ExitCode(130)
}

extension OmenError {
    var exitStatus: ExitCode {
        switch code {
        case .unavailable: ExitStatus.unavailable
        case .unknownOutcome, .resourceExhausted: ExitStatus.partial
        case .badRequest, .notFound, .alreadyExists, .corrupt, .locked, .unsupportedVersion,
            .ioFailure, .protocolViolation:
            ExitStatus.failure
        case .stopped: ExitStatus.interrupted
        }
    }
}

/// Runs a command's work; what it throws becomes one line on stderr and an exit code.
func reporting(_ body: () throws -> Void) throws {
    do {
        try body()
    } catch let error as OmenError {
        Console.error(error.message)
        throw error.exitStatus
    }
}

/// Checks arguments: what is wrong there is wrong usage, in whichever module it is found.
func checkingUsage<Value>(_ body: () throws(OmenError) -> Value) throws -> Value {
    do throws(OmenError) {
        return try body()
    } catch {
        throw ValidationError(error.message)
    }
}
