internal import ArgumentParser
internal import Glibc
internal import OmenCore

/// Where the cluster is and how to answer: understood by every command.
struct ClusterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Data directory; otherwise $OMENDB_DATA, $XDG_DATA_HOME/omendb or ~/.local/share/omendb.",
            valueName: "dir"
        )
    )
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Unix socket; otherwise omen.sock in the data directory.",
            valueName: "path"
        )
    )
    var socket: String?

    @Flag(help: "Answer with one JSON document.")
    var json = false

    func validate() throws { _ = try checkingUsage(location) }

    func location() throws(OmenError) -> Location {
        try Location(data: data, socket: socket, environment: environmentVariable)
    }
}

/// The collection that a command is about.
struct CollectionOption: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("collection")],
        help: ArgumentHelp("Collection.", valueName: "name")
    )
    var name = CollectionName.standard
}

func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}

/// The two paths every command needs, absolute.
struct Location: Equatable {
    let data: String
    let socket: String

    /// Applies the rules of precedence: argument, environment, XDG, home.
    ///
    /// - Throws: `.badRequest` when no directory can be told, or the socket's path is too long.
    init(
        data: String?,
        socket: String?,
        environment: (String) -> String?
    ) throws(OmenError) {
        self.data = absolutePath(try Self.dataDirectory(data, environment))
        self.socket = socket.map { absolutePath($0) } ?? self.data + "/omen.sock"
        let byteCount = self.socket.utf8.count
        guard byteCount <= Limits.socketPathByteCountMax else {
            throw OmenError(
                .badRequest,
                "the socket's path has \(byteCount) bytes, the system allows \(Limits.socketPathByteCountMax): \(self.socket); give a shorter one with --socket"
            )
        }
    }

    private static func dataDirectory(
        _ argument: String?,
        _ environment: (String) -> String?
    ) throws(OmenError) -> String {
        if let argument {
            guard !argument.isEmpty else { throw OmenError(.badRequest, "--data is empty") }
            return argument
        }
        if let data = environment("OMENDB_DATA") { return data }
        // The XDG specification tells to ignore relative paths.
        if let base = environment("XDG_DATA_HOME"), base.utf8.first == UInt8(ascii: "/") {
            return base + "/omendb"
        }
        if let home = environment("HOME") { return home + "/.local/share/omendb" }
        throw OmenError(.badRequest, "no data directory: give --data, or set OMENDB_DATA or HOME")
    }
}

/// The path from the root, without doubled or trailing slashes; nothing needs to exist.
///
/// Paths are bytes: a slash and a combining mark behind it are one character, and still a slash.
func absolutePath(_ path: String, relativeTo base: String? = nil) -> String {
    let slash = UInt8(ascii: "/")
    let start = path.utf8.first == slash ? "" : base ?? workingDirectory()
    let parts = (start + "/" + path).utf8.split(separator: slash)
        .filter { !$0.elementsEqual(".".utf8) }
    return parts.reduce(into: parts.isEmpty ? "/" : "") { path, part in
        path += "/" + String(decoding: part, as: UTF8.self)
    }
}

private func workingDirectory() -> String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
}
