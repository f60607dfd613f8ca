import Foundation
import Testing

@testable import OmenSystem

/// Limits of control groups of both versions, wherever their trees are mounted.
@Suite struct ControlGroupsTests {
    private static let unified =
        "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let mixed = """
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
        """

    @Test func groupsOfVersion2AreLookedAtFromTheRootDown() {
        func paths(_ cgroup: String) -> [String] {
            ControlGroups(cgroup: cgroup, mountinfo: Self.unified).unified
        }
        #expect(paths("0::/\n") == ["/sys/fs/cgroup"])
        #expect(
            paths("0::/a.slice/b.scope\n")
                == ["/sys/fs/cgroup", "/sys/fs/cgroup/a.slice", "/sys/fs/cgroup/a.slice/b.scope"]
        )
        #expect(paths("0::/../x\n") == ["/sys/fs/cgroup"])
        #expect(paths("5:memory:/docker\n") == [])
        #expect(paths("") == [])
        #expect(ControlGroups(cgroup: "0::/\n", mountinfo: "").unified == [])
    }

    @Test func bothVersionsAreReadBesideEachOther() {
        let groups = ControlGroups(
            cgroup: "5:cpu,cpuacct:/batch\n4:memory:/batch/job:7\n1:name=systemd:/x\n0::/y\n",
            mountinfo: Self.mixed
        )
        #expect(
            groups.directories(of: "memory") == [
                "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/batch",
                "/sys/fs/cgroup/memory/batch/job:7",
            ]
        )
        #expect(
            groups.directories(of: "cpu")
                == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/batch"]
        )
        #expect(groups.directories(of: "pids") == [])
        #expect(groups.unified == ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/y"])
    }

    @Test func aContainerSeesItsPartOfTheTree() {
        let mountinfo = """
            40 31 0:32 /docker/abc /sys/fs/cgroup/memory\\040here ro - cgroup cgroup rw,memory
            """
        func paths(_ path: String) -> [String] {
            ControlGroups(cgroup: "4:memory:\(path)\n", mountinfo: mountinfo)
                .directories(of: "memory")
        }
        let top = "/sys/fs/cgroup/memory here"
        #expect(paths("/docker/abc") == [top])
        #expect(paths("/docker/abc/inner") == [top, top + "/inner"])
        #expect(paths("/docker/abcd") == [top])
        #expect(paths("/elsewhere") == [top])
        #expect(paths("/../sibling") == [top])
    }

    @Test func theMountThatShowsTheGroupIsTaken() {
        let mountinfo = """
            40 31 0:32 /other /mnt/other rw - cgroup cgroup rw,memory
            41 31 0:32 / /mnt/all rw - cgroup cgroup rw,memory
            bad line
            42 31 0:32 / /mnt/none rw -
            """
        let groups = ControlGroups(cgroup: "4:memory:/mine\n", mountinfo: mountinfo)
        #expect(groups.directories(of: "memory") == ["/mnt/all", "/mnt/all/mine"])
    }

    private func withGroup(
        _ files: [String: String],
        _ body: (String) throws -> Void
    ) throws {
        let path = NSTemporaryDirectory() + "omen-group-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for (name, text) in files {
            try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
        }
        try body(path)
        try FileManager.default.removeItem(atPath: path)
    }

    @Test func whatAGroupOfVersion1HasLeft() throws {
        var files = [
            "memory.limit_in_bytes": "1000\n", "memory.usage_in_bytes": "700\n",
            "memory.stat": "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 100\n",
            "memory.use_hierarchy": "1\n",
        ]
        try withGroup(files) { path in
            #expect(SystemMemory.group(path, isOwn: true) == 600)
            #expect(SystemMemory.group(path, isOwn: false) == 600)
        }
        files["memory.stat"]? += "hierarchical_memory_limit 900\n"
        files["memory.use_hierarchy"] = "0\n"
        try withGroup(files) { path in
            #expect(SystemMemory.group(path, isOwn: true) == 500)
            #expect(SystemMemory.group(path, isOwn: false) == nil, "it does not count this one")
        }
        files["memory.usage_in_bytes"] = "5000\n"
        try withGroup(files) { #expect(SystemMemory.group($0, isOwn: true) == 0) }
        files["memory.limit_in_bytes"] = nil
        try withGroup(files) { #expect(SystemMemory.group($0, isOwn: true) == nil) }
    }

    @Test func whatAGroupOfVersion2HasLeft() throws {
        var files = [
            "memory.max": "1000\n", "memory.current": "700\n",
            "memory.stat": "inactive_file 200\nactive_file 100\n",
        ]
        try withGroup(files) { #expect(SystemMemory.unifiedGroup($0) == 600) }
        files["memory.max"] = "max\n"
        try withGroup(files) { #expect(SystemMemory.unifiedGroup($0) == nil) }
    }

    @Test func processorsThatAGroupOfVersion1Grants() throws {
        var files = ["cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"]
        try withGroup(files) { #expect(Processors.oldQuota($0) == 2) }
        files["cpu.cfs_quota_us"] = "-1\n"
        try withGroup(files) { #expect(Processors.oldQuota($0) == nil) }
        try withGroup([:]) { #expect(Processors.oldQuota($0) == nil) }
    }
}
