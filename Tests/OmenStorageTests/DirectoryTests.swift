import OmenSystem
import Glibc
import OmenCore
import Testing

@testable import OmenStorage

@Suite struct DirectoryTests {
    @Test func createsMissingParentsForTheOwnerAlone() throws {
        let scratch = try Scratch()
        let directory = scratch.directory.subdirectory("shards").subdirectory("003")
        #expect(try !directory.exists())
        try directory.create()
        try directory.create()
        #expect(try directory.exists())
        for path in [directory.path, scratch.directory.path + "/shards"] {
            var status = stat()
            #expect(stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700)
        }
        try scratch.put([1], as: "file")
        let error = #expect(throws: OmenError.self) {
            try scratch.directory.subdirectory("file").create()
        }
        #expect(error?.code == .ioFailure)
        #expect(DataDirectory.shard(3, in: scratch.directory) == directory)
        #expect(DataDirectory.shard(1234, in: scratch.directory).path.hasSuffix("/shards/1234"))
    }

    @Test func replacesAFileAsAWhole() throws {
        let scratch = try Scratch()
        #expect(try scratch.directory.read("f", byteCountMax: 10) == nil)
        try scratch.put(Array("leftover of a crash, longer".utf8), as: "f.tmp")
        try scratch.directory.replace("f", with: [1, 2, 3])
        try scratch.directory.replace("f", with: [4])
        #expect(try scratch.directory.read("f", byteCountMax: 10) == [4])
        #expect(try scratch.directory.names() == ["f"])
        var status = stat()
        #expect(stat(scratch.directory.path(of: "f"), &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        let error = #expect(throws: OmenError.self) {
            try scratch.directory.read("f", byteCountMax: 0)
        }
        #expect(error?.code == .corrupt)
    }

    @Test func removesOnlyTemporaryFiles() throws {
        // qdrant#2231: a leftover temporary file blocked the start.
        let scratch = try Scratch()
        for name in ["b.tmp", "a", "c.omd.tmp", "tmp"] { try scratch.put([], as: name) }
        #expect(try scratch.directory.removeTemporaryFiles() == ["b.tmp", "c.omd.tmp"])
        #expect(try scratch.directory.names() == ["a", "tmp"])
        try scratch.directory.remove("gone already")
    }

    @Test func failuresNameOperationAndPath() throws {
        let scratch = try Scratch()
        let path = scratch.directory.path(of: "nothing")
        let missing = #expect(throws: OmenError.self) { try MappedFile(path: path) }
        #expect(missing == OmenError(.ioFailure, "open \(path): No such file or directory"))
        try scratch.directory.subdirectory("nothing").create()
        let directory = #expect(throws: OmenError.self) { try MappedFile(path: path) }
        #expect(directory?.message == "\(path) is a directory, expected a regular file")
        #expect(symlink("/etc/hostname", scratch.directory.path(of: "link")) == 0)
        let link = #expect(throws: OmenError.self) {
            try MappedFile(path: scratch.directory.path(of: "link"))
        }
        #expect(link?.code == .corrupt)
        #expect(link?.message.contains("link is a symbolic link") == true)
    }

    @Test func anEmptyFileMapsToNothing() throws {
        let scratch = try Scratch()
        try scratch.put([], as: "empty")
        #expect(try MappedFile(path: scratch.directory.path(of: "empty")).bytes.isEmpty)
        try scratch.put([1, 2], as: "two")
        let two = try MappedFile(path: scratch.directory.path(of: "two"))
        #expect(Array(two.bytes) == [1, 2])
        withExtendedLifetime(two) {}
        #expect(MappedFile(copying: []).bytes.isEmpty)
    }

    @Test func aFullDeviceIsAMatterOfResources() throws {
        let full = try systemCall("open", "/dev/full") { open("/dev/full", O_WRONLY | O_CLOEXEC) }
        defer { close(full) }
        let error = #expect(throws: OmenError.self) {
            try systemCall("write", "/dev/full") { write(full, "x", 1) }
        }
        #expect(
            error == OmenError(.resourceExhausted, "write /dev/full: No space left on device")
        )
    }

    @Test func aBadDescriptorIsOurOwnBug() async {
        await #expect(processExitsWith: .failure) {
            try systemCall("fsync", "nowhere") { fsync(-1) }
        }
    }

    @Test func aNameWithASlashIsOurOwnBug() async {
        await #expect(processExitsWith: .failure) { _ = Directory("/tmp").path(of: "../etc") }
    }
}
