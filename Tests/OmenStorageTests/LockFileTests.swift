import Glibc
import OmenCore
import Testing

@testable import OmenStorage

@Suite struct LockFileTests {
    @Test func aSecondOpenerIsToldWhoHoldsTheLock() throws {
        let scratch = try Scratch()
        let path = scratch.directory.path(of: "lock")
        let lock = try LockFile.acquire(path)
        let error = #expect(throws: OmenError.self) { try LockFile.acquire(path) }
        #expect(error?.code == .locked)
        #expect(error?.message.contains("process \(getpid())") == true)
        #expect(error?.message.contains(path) == true)
        withExtendedLifetime(lock) {}
    }

    @Test func theLockIsFreeOnceItsHolderIsGone() throws {
        let scratch = try Scratch()
        let path = scratch.directory.path(of: "lock")
        for _ in 0..<3 {
            let lock = try LockFile.acquire(path)
            withExtendedLifetime(lock) {}
        }
    }

    @Test func readersKeepOwnersOutButWriteNothing() throws {
        let scratch = try Scratch()
        let path = scratch.directory.path(of: "lock")
        #expect(try LockFile.acquireForReading(path) == nil)
        #expect(try !scratch.directory.contains("lock"))
        do {
            let lock = try LockFile.acquire(path)
            let error = #expect(throws: OmenError.self) { try LockFile.acquireForReading(path) }
            #expect(error?.code == .locked)
            withExtendedLifetime(lock) {}
        }
        let reader = try LockFile.acquireForReading(path)
        let error = #expect(throws: OmenError.self) { try LockFile.acquire(path) }
        #expect(error?.code == .locked)
        withExtendedLifetime(reader) {}
    }

    @Test func descriptorsDoNotReachChildren() throws {
        let scratch = try Scratch()
        let lock = try LockFile.acquire(scratch.directory.path(of: "lock"))
        let file = try File(scratch.directory.path(of: "file"), .create)
        #expect(fcntl(lock.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(file.descriptor, F_GETFD) & FD_CLOEXEC != 0)
    }
}
