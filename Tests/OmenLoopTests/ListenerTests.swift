import Glibc
import OmenCore
import Testing

@testable import OmenLoop

extension LoopTests {
    @Suite struct Listening {
        @Test func onlyTheOwnerMayConnectAndClosingRemovesTheFile() throws {
            try withTemporaryDirectory { directory in
                let path = directory + "/s"
                let loop = try EventLoop()
                defer { loop.close() }
                let mask = umask(0)
                umask(mask)
                let listener = try loop.listen(at: .unix(path: path)) { $0.abort() }
                var info = stat()
                try #require(lstat(path, &info) == 0)
                #expect(info.st_mode & 0o777 == 0o700)
                let after = umask(mask)
                #expect(after == mask)
                listener.close()
                listener.close()
                loop.runOnce()
                #expect(lstat(path, &info) == -1)
            }
        }

        @Test func aThousandConnectionsComeAndGoWithoutLeakingDescriptors() throws {
            try withTemporaryDirectory { directory in
                let loop = try EventLoop()
                defer { loop.close() }
                var closed = 0
                let listener = try loop.listen(at: .unix(path: directory + "/s")) { connection in
                    connection.onBytes = { connection.write(Array($0)) }
                    connection.onClose = { _ in
                        closed += 1
                        if closed % 50 == 0 { loop.stop() }
                    }
                    connection.startReading()
                }
                loop.runOnce()
                let before = openDescriptorCount()
                for round in 1...20 {
                    for index in 0..<50 {
                        let client = connectSocket(directory + "/s")
                        try #require(client >= 0)
                        // Some talk, some leave without a word.
                        if index % 2 == 0 { #expect(send(client, "x", 1, 0) == 1) }
                        close(client)
                    }
                    run(loop)
                    #expect(closed == round * 50)
                }
                loop.runOnce()
                // Other tests run meanwhile and open and close some; a leak would be a thousand.
                #expect(openDescriptorCount() < before + 500)
                listener.close()
            }
        }

        @Test func aSocketLeftBehindIsReplacedAndALiveOneIsNot() throws {
            try withTemporaryDirectory { directory in
                let path = directory + "/s"
                let dead = try bindWithoutListening(path)
                close(dead)
                let loop = try EventLoop()
                defer { loop.close() }
                _ = try loop.listen(at: .unix(path: path)) { $0.abort() }
                let error = #expect(throws: OmenError.self) {
                    try EventLoop().listen(at: .unix(path: path)) { $0.abort() }
                }
                #expect(error?.code == .locked)
                var info = stat()
                #expect(lstat(path, &info) == 0)
            }
        }

        @Test func aFileThatIsNoSocketIsLeftAlone() throws {
            try withTemporaryDirectory { directory in
                let path = directory + "/s"
                close(open(path, O_CREAT | O_WRONLY, 0o600))
                let loop = try EventLoop()
                defer { loop.close() }
                let error = #expect(throws: OmenError.self) {
                    try loop.listen(at: .unix(path: path)) { $0.abort() }
                }
                #expect(error?.code == .ioFailure)
                #expect(error?.message.contains("not a socket") == true)
            }
        }

        @Test func pathsThatDoNotFitAreRefusedByName() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            for path in ["", "/tmp/" + String(repeating: "x", count: 103), "/tmp/a\0b"] {
                let error = #expect(throws: OmenError.self) {
                    try loop.listen(at: .unix(path: path)) { $0.abort() }
                }
                #expect(error?.code == .badRequest)
            }
            // 107 bytes fit; the directory does not exist, which is another error.
            let longest = "/tmp/" + String(repeating: "x", count: 100) + "/s"
            try #require(longest.utf8.count == 107)
            let error = #expect(throws: OmenError.self) {
                try loop.listen(at: .unix(path: longest)) { $0.abort() }
            }
            #expect(error?.code == .ioFailure)
        }

        private func bindWithoutListening(_ path: String) throws -> Int32 {
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(result == 0)
            return descriptor
        }
    }
}
