import OmenCore
import StorageTestSupport
import Testing

@testable import OmenStorage

/// The disk that tests and the simulation use: it must forget what a real one may forget.
@Suite struct MemoryDiskTests {
    private static func write(_ text: String, to name: String, in directory: Directory) throws {
        let file = try directory.open(name, .create)
        try writeAll(Array(text.utf8), to: file, at: 0)
    }

    private static func text(_ name: String, in directory: Directory) throws -> String? {
        let bytes = try directory.read(name, byteCountMax: 100)
        return bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    /// What a file of two halves may be after a power cut, for many seeds.
    private static func outcomes(_ prepare: (MemoryDisk) throws -> Void) throws -> Set<String> {
        var seen: Set<String> = []
        for seed in UInt64(1)...60 {
            let disk = MemoryDisk()
            try prepare(disk)
            var random = SplitMix64(seed: seed)
            disk.cutPower(using: &random)
            seen.insert(try text("a", in: disk.directory) ?? "missing")
        }
        return seen
    }

    @Test func aPowerCutMayKeepOrLoseWhatWasNotSynced() throws {
        let seen = try Self.outcomes { disk in
            try Self.write("old", to: "a", in: disk.directory)
            try disk.directory.open("a", .readWrite).sync()
            try disk.directory.sync()
            let file = try disk.directory.open("a", .readWrite)
            try writeAll(Array("new".utf8), to: file, at: 0)
        }
        #expect(seen == ["old", "new"])
    }

    @Test func aNameIsDurableOnlyAfterItsDirectoryWasSynced() throws {
        let unsynced = try Self.outcomes { disk in
            try Self.write("x", to: "a", in: disk.directory)
            try disk.directory.open("a", .readWrite).sync()
        }
        #expect(unsynced == ["x", "missing"])
        let synced = try Self.outcomes { disk in
            try Self.write("x", to: "a", in: disk.directory)
            try disk.directory.open("a", .readWrite).sync()
            try disk.directory.sync()
        }
        #expect(synced == ["x"])
    }

    @Test func aReplacedFileIsTheOldOneOrTheNewOne() throws {
        let seen = try Self.outcomes { disk in
            try disk.directory.replace("a", with: Array("old".utf8))
            // Made, written, synced and renamed; the directory is not synced any more.
            let last = disk.operationCount + 5
            let stop = OmenError(.ioFailure, "stop")
            disk.faults = [MemoryDisk.Fault(operation: last, error: stop, isLast: true)]
            #expect(throws: OmenError.self) {
                try disk.directory.replace("a", with: Array("new".utf8))
            }
        }
        #expect(seen == ["old", "new"])
    }

    @Test func aFailedSyncShowsTheBytesAndNeverStoresThem() throws {
        let seen = try Self.outcomes { disk in
            try Self.write("old", to: "a", in: disk.directory)
            let file = try disk.directory.open("a", .readWrite)
            try file.sync()
            try disk.directory.sync()
            try writeAll(Array("new".utf8), to: file, at: 0)
            let failure = OmenError(.ioFailure, "EIO")
            let next = disk.operationCount + 1
            disk.faults = [MemoryDisk.Fault(operation: next, error: failure, isLast: false)]
            #expect(throws: failure) { try file.sync() }
            #expect(try Self.text("a", in: disk.directory) == "new")
            try file.sync()
        }
        #expect(seen == ["old"])
    }

    @Test func aProcessThatWasKilledChangesNothingMore() throws {
        let disk = MemoryDisk()
        let late = disk.directory
        let file = try late.open("a", .create)
        let lock = try late.lock("lock")
        #expect(throws: OmenError.self) { try late.lock("lock") }
        disk.killProcess()
        #expect(throws: OmenError.self) { try writeAll(Array("x".utf8), to: file, at: 0) }
        #expect(throws: OmenError.self) { try late.remove("a") }
        #expect(try Self.text("a", in: disk.directory)?.isEmpty == true)
        // The system lets go of the locks of the dead.
        _ = try disk.directory.lock("lock")
        withExtendedLifetime(lock) {}
    }
}
