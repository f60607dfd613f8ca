internal import OmenSystem
internal import Glibc
internal import OmenCore
internal import OmenStorage

/// A copy of this program that outlives us.
struct DetachedProcess {
    let pid: pid_t
    private let logPath: String
    /// Where the log ended before the start: what follows is the new process's.
    private let logOffset: Int

    /// Starts `omen-cluster ARGUMENTS` with stdout and stderr appended to `logPath`.
    init(arguments: [String], logPath: String) throws(OmenError) {
        self.logPath = logPath
        // Opened here, where a FIFO or a link under this name is refused instead of followed.
        guard let log = try openRegularFile(logPath, O_WRONLY | O_CREAT | O_APPEND) else {
            throw OmenError(.ioFailure, "\(logPath) cannot be made")
        }
        defer { close(log) }
        logOffset = fileByteCount(logPath)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, log, 1)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let executable = try executablePath()
        var argv: [UnsafeMutablePointer<CChar>?] = (["omen-cluster"] + arguments).map { strdup($0) }
        argv.append(nil)
        defer { for argument in argv { free(argument) } }
        var child = pid_t()
        let code = posix_spawn(&child, executable, &actions, nil, argv, environ)
        guard code == 0 else {
            throw OmenError(
                .ioFailure,
                "cannot start \(executable): \(systemErrorText(code))"
            )
        }
        pid = child
    }

    /// Whether the process has ended; asks the system, so call it until it says so, and not again.
    func hasEnded() -> Bool {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid
    }

    /// The last lines the process left in its log.
    func lastWords() -> String {
        guard let file = fopen(logPath, "r") else { return "" }
        defer { fclose(file) }
        let start = max(logOffset, fileByteCount(logPath) - 2000)
        fseek(file, start, SEEK_SET)
        var buffer = [UInt8](repeating: 0, count: 2000)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}

private func fileByteCount(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}

/// Waits a little, for loops that look at something again.
func pause(milliseconds: Int) { usleep(UInt32(milliseconds * 1000)) }

/// Leaves the caller's terminal and working directory, so that neither's end touches a daemon.
func becomeDaemon(directory: String) {
    // Fails only for a group leader, who has no terminal to lose here; wrong paths show elsewhere.
    _ = setsid()
    _ = chdir(directory)
}
