internal import ArgumentParser
internal import Glibc
internal import OmenCore
internal import OmenStorage

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

/// The text of a variable; nil where it is not set or empty.
///
/// - Throws: `.badRequest` when it is not UTF-8: as another text it would name something else.
func environmentVariable(_ name: String) throws(OmenError) -> String? {
    guard let value = getenv(name) else { return nil }
    guard let text = String(validatingCString: value) else {
        throw OmenError(.badRequest, "$\(name) is \(shownBytes(value)), which is not UTF-8")
    }
    return text.isEmpty ? nil : text
}

/// The bytes in quotes; a byte that is not printable ASCII is written in hexadecimal.
func shownBytes(_ text: UnsafePointer<CChar>) -> String {
    let bytes = UnsafeRawBufferPointer(start: text, count: strlen(text))
    let shown = bytes.prefix(200).map { byte in
        (0x20..<0x7F).contains(byte)
            ? String(UnicodeScalar(byte))
            : "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return "'" + shown.joined() + (bytes.count > 200 ? "...'" : "'")
}

/// Refuses arguments that are not UTF-8, before they are read as another text that could name
/// something else.
func checkArguments() throws {
    let arguments = UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc))
    var isOption = true
    for (place, argument) in arguments.enumerated().dropFirst() {
        guard let argument else { continue }
        guard let text = String(validatingCString: argument) else {
            throw ValidationError(
                "argument \(place) is \(shownBytes(argument)), which is not UTF-8"
            )
        }
        if text == "--" { isOption = false }
        let name = String(text.prefix { $0 != "=" })
        if isOption, let known = namesByHabit[name] {
            throw ValidationError("\(name) is not an option here; it is called \(known)")
        }
    }
}

/// Names that other databases, or earlier versions, have for options of this one.
private let namesByHabit = [
    "--k": "--limit", "--top-k": "--limit", "--topk": "--limit", "--n-results": "--limit",
    "--num-results": "--limit", "--ef-search": "--ef", "--require-all": "--no-allow-partial",
    "--include-metadata": "--with-metadata", "--include-vectors": "--with-vector",
]

/// The two paths every command needs, absolute.
struct Location: Equatable {
    let data: String
    let socket: String

    /// Where the coordinator listens.
    var endpoint: Endpoint { .unix(path: socket) }

    /// Applies the rules of precedence: argument, environment, XDG, home.
    ///
    /// - Throws: `.badRequest` when no directory can be told, or the socket's path is too long.
    init(
        data: String?,
        socket: String?,
        environment: (String) throws(OmenError) -> String?
    ) throws(OmenError) {
        self.data = try absolutePath(try Self.dataDirectory(data, environment))
        if let socket {
            guard !socket.isEmpty else { throw OmenError(.badRequest, "--socket is empty") }
            self.socket = try absolutePath(socket)
        } else {
            self.socket = self.data + "/" + DataDirectory.socketName
        }
        for path in [self.data, self.socket] where path.utf8.contains(0) {
            throw OmenError(.badRequest, "path '\(path)' has a zero byte")
        }
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
        _ environment: (String) throws(OmenError) -> String?
    ) throws(OmenError) -> String {
        if let argument {
            guard !argument.isEmpty else { throw OmenError(.badRequest, "--data is empty") }
            return argument
        }
        if let data = try environment("OMENDB_DATA") { return data }
        // The XDG specification tells to ignore relative paths.
        if let base = try environment("XDG_DATA_HOME"), base.utf8.first == UInt8(ascii: "/") {
            return base + "/omendb"
        }
        if let home = try environment("HOME") { return home + "/.local/share/omendb" }
        throw OmenError(.badRequest, "no data directory: give --data, or set OMENDB_DATA or HOME")
    }
}

/// The path from the root, without doubled or trailing slashes; nothing needs to exist.
///
/// Paths are bytes: a slash and a combining mark behind it are one character, and still a slash.
///
/// - Throws: `.badRequest` when the path begins in a directory whose own is not UTF-8.
func absolutePath(_ path: String, relativeTo base: String? = nil) throws(OmenError) -> String {
    let slash = UInt8(ascii: "/")
    var start = ""
    if path.utf8.first != slash {
        if let base { start = base } else { start = try workingDirectory() }
    }
    let parts = (start + "/" + path).utf8.split(separator: slash)
        .filter { !$0.elementsEqual(".".utf8) }
    return parts.reduce(into: parts.isEmpty ? "/" : "") { path, part in
        path += "/" + String(decoding: part, as: UTF8.self)
    }
}

private func workingDirectory() throws(OmenError) -> String {
    guard let path = getcwd(nil, 0) else {
        throw OmenError(.ioFailure, "the working directory is gone: give a path from the root")
    }
    defer { free(path) }
    guard let text = String(validatingCString: path) else {
        throw OmenError(
            .badRequest,
            "the working directory is \(shownBytes(path)), which is not UTF-8"
        )
    }
    return text
}
