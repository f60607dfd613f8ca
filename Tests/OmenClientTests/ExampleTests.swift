import Glibc
import OmenCore
import OmenWire
import Synchronization
import Testing

@Suite struct ExampleTests {
    private static let python = "/usr/bin/python3"

    /// The client of the documentation against our decoder and encoder: if either side of the
    /// protocol moves, the document is wrong.
    @Test(.enabled(if: access(python, X_OK) == 0))
    func theDocumentedClientWorks() throws {
        let writes = Mutex<[WriteOperation]>([])
        let query = Mutex<SearchRequest?>(nil)
        let hits = SearchReply(
            element: .f32,
            hitCounts: [2],
            hits: [Hit(id: .number(8), distance: 0), Hit(id: .number(9), distance: 0.25)],
            coverage: whole
        )
        try withServer { envelope in
            switch envelope.message {
            case .write(let request):
                writes.withLock { $0.append(request.operation) }
                return written(WriteCounts(upserted: 3))
            case .search(let search):
                query.withLock { $0 = search }
                return .reply(.hits(hits))
            default: return .reply(.failure(OmenError(.badRequest, "not asked for")))
            }
        } _: { server in
            let output = server.path + ".out"
            defer { unlink(output) }
            let status = try runExample([server.path], output: output)
            #expect(status == 0)
            #expect(try contents(of: output) == "upserted 3\nhit 8 0.0\nhit 9 0.25\n")
        }
        let schema = CollectionSchema(dim: 3, efConstruction: 128)
        let vectors: [Float] = [1, 0, 0, 0, 1, 0, 0, 0.9, 0.1]
        let batch = UpsertBatch(
            collection: "example",
            element: .f32,
            dim: 3,
            ids: [.number(7), .number(8), .number(9)],
            vectors: vectors.withUnsafeBytes { Array($0) }
        )
        let expected: [WriteOperation] = [
            .createCollection(name: "example", schema: schema), .upsert(batch),
        ]
        #expect(writes.withLock { $0 } == expected)
        let wanted: [Float] = [0, 1, 0]
        let search = SearchRequest(
            collection: "example",
            element: .f32,
            dim: 3,
            vectors: wanted.withUnsafeBytes { Array($0) },
            count: 1,
            limit: 2
        )
        #expect(query.withLock { $0 } == search)
    }

    private func runExample(_ arguments: [String], output: String) throws -> Int32 {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let script = "/\(root)/docs/examples/minimal_client.py"
        let words = ([Self.python, script] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_CREAT | O_WRONLY | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, flags, 0o600)
        var pid: pid_t = 0
        let code = posix_spawn(&pid, Self.python, &actions, nil, words + [nil], environ)
        try #require(code == 0)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status
    }

    private func contents(of path: String) throws -> String {
        let descriptor = open(path, O_RDONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &buffer, buffer.count)
        try #require(count >= 0)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
