import Glibc
import OmenCore
import Testing

@testable import OmenStorage

@Suite struct SystemMemoryTests {
    @Test func controlGroupsAreLookedAtFromTheRootDown() {
        #expect(SystemMemory.groupPaths("0::/\n") == ["/sys/fs/cgroup"])
        #expect(
            SystemMemory.groupPaths("0::/a.slice/b.scope\n")
                == ["/sys/fs/cgroup", "/sys/fs/cgroup/a.slice", "/sys/fs/cgroup/a.slice/b.scope"]
        )
        #expect(SystemMemory.groupPaths("0::/../x\n") == ["/sys/fs/cgroup", "/sys/fs/cgroup/x"])
        #expect(SystemMemory.groupPaths("5:memory:/docker\n") == [])
    }

    @Test func aFieldIsTheNumberBehindItsWholeName() {
        let text = "MemFree:   12 kB\nMemAvailable:\t 345 kB\nfile 7\nfile_mapped 8\n"
        #expect(SystemMemory.field("MemAvailable", of: text) == 345)
        #expect(SystemMemory.field("file", of: text) == 7)
        #expect(SystemMemory.field("Mem", of: text) == nil)
    }

    @Test func whatDoesNotFitIsRefusedWithBothNumbers() throws {
        try SystemMemory.require(10, available: 10, for: "it")
        let error = #expect(throws: OmenError.self) {
            try SystemMemory.require(11, available: 10, for: "it")
        }
        #expect(error?.code == .resourceExhausted)
        #expect(error?.message == "it needs 11 bytes of memory, 10 are available")
    }

    @Test func thisMachineHasSomeMemoryLeft() throws {
        #expect(try SystemMemory.availableByteCount() > 1 << 20)
    }
}
