import Glibc
import OmenCore
import Testing

@testable import OmenLoop

extension LoopTests {
    @Suite struct Children {
        @Test func aChildTalksOverItsInheritedSocket() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (ours, childs) = try EventLoop.socketPair()
            let connection = try loop.adopt(descriptor: ours)
            var received: [UInt8] = []
            var exit: (Int64, Int32)?
            connection.onBytes = { received += $0 }
            connection.onClose = { _ in if exit != nil { loop.stop() } }
            let child = try loop.spawn(
                executable: "/bin/sh",
                arguments: [
                    "-c", "read line <&3; echo \"got $line $0 $OMEN\" >&3; exit 7", "arg 0",
                ],
                environment: ["OMEN=set"],
                inherit: [3: childs],
                onExit: { status, signal in
                    exit = (status, signal)
                    if !connection.isOpen { loop.stop() }
                }
            )
            EventLoop.close(descriptor: childs)
            #expect(child.isRunning)
            #expect(child.pid > 0)
            connection.startReading()
            connection.write(Array("hello\n".utf8))
            run(loop)
            #expect(String(decoding: received, as: UTF8.self) == "got hello arg 0 set\n")
            #expect(exit?.0 == 7)
            #expect(exit?.1 == 0)
            #expect(!child.isRunning)
            child.kill(SIGKILL)
        }

        @Test func nothingElseIsInherited() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            // Not close-on-exec, and above a gap in the numbers.
            let leaked = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, 200)
            try #require(leaked >= 200)
            defer { close(leaked) }
            let (ours, childs) = try EventLoop.socketPair()
            let connection = try loop.adopt(descriptor: ours)
            var listing: [UInt8] = []
            connection.onBytes = { listing += $0 }
            connection.onClose = { _ in loop.stop() }
            _ = try loop.spawn(
                executable: "/bin/sh",
                arguments: ["-c", "ls /proc/$$/fd >&5; exit $?"],
                inherit: [5: childs],
                onExit: { status, _ in #expect(status == 0) }
            )
            EventLoop.close(descriptor: childs)
            connection.startReading()
            run(loop)
            let numbers = String(decoding: listing, as: UTF8.self).split(separator: "\n")
                .compactMap { Int($0) }
            #expect(numbers.contains(5))
            // The shell may keep a few of its own from 10 up.
            #expect(!numbers.contains { $0 == 3 || $0 == 4 || (6...9).contains($0) || $0 >= 20 })
        }

        @Test func killedChildrenSayByWhat() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            var signalSeen: Int32 = 0
            let child = try loop.spawn(
                executable: "sleep",
                arguments: ["100"],
                onExit: { _, signal in
                    signalSeen = signal
                    loop.stop()
                }
            )
            child.kill(SIGKILL)
            run(loop)
            #expect(signalSeen == SIGKILL)
        }

        @Test func missingProgramsAreErrorsAtOnce() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let error = #expect(throws: OmenError.self) {
                try loop.spawn(
                    executable: "/nonexistent/program",
                    arguments: [],
                    onExit: { _, _ in Issue.record("exit of a child that never was") }
                )
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("ENOENT") == true)
            loop.runOnce()
        }

        @Test func adoptRefusesWhatIsNotASocket() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let error = #expect(throws: OmenError.self) { try loop.adopt(descriptor: 4000) }
            #expect(error?.code == .ioFailure)
            loop.runOnce()
        }
    }
}
