import Glibc
import OmenCore
import Testing

@testable import OmenSystem

@Suite struct SystemMemoryTests {
    @Test func aFieldIsTheNumberBehindItsWholeName() {
        let text = "MemFree:   12 kB\nMemAvailable:\t 345 kB\nfile 7\nfile_mapped 8\n"
        #expect(KernelText.field("MemAvailable", of: text) == 345)
        #expect(KernelText.field("file", of: text) == 7)
        #expect(KernelText.field("Mem", of: text) == nil)
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

    @Test func processorsAreCountedInTheMask() {
        #expect(Processors.allowedCount("Cpus_allowed:\t3\nCpus_allowed_list:\t0-1\n") == 2)
        #expect(Processors.allowedCount("Cpus_allowed:\t00000001,f000000f\n") == 9)
        #expect(Processors.allowedCount("Cpus_allowed_list:\t0-1\n") == nil)
        #expect(Processors.allowedCount("Cpus_allowed:\tx\n") == nil)
    }

    @Test func whatAGroupIsGrantedIsRoundedUp() {
        #expect(Processors.quota("max 100000\n") == nil)
        #expect(Processors.quota("200000 100000\n") == 2)
        #expect(Processors.quota("150000 100000\n") == 2)
        #expect(Processors.quota("1000 100000\n") == 1)
        #expect(Processors.quota("1000 0\n") == nil)
        #expect(Processors.quota("") == nil)
    }

    @Test func thisProcessMayUseSomeProcessor() {
        let online = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        #expect((1...online).contains(Processors.usableCount))
    }
}
