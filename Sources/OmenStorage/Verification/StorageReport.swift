package import OmenCore

/// Something a verification found.
package struct StorageFinding: Equatable, Sendable {
    /// Path of the file, or of the directory.
    package var file: String
    /// First bad byte, where it is known.
    package var offset: Int?
    package var what: String

    package init(file: String, offset: Int? = nil, what: String) {
        self.file = file
        self.offset = offset
        self.what = what
    }
}

extension StorageFinding: CustomStringConvertible {
    package var description: String {
        offset.map { "\(file) offset \($0): \(what)" } ?? "\(file): \(what)"
    }
}

/// Between which times the records of a shard's log were accepted.
package struct LogTimes: Equatable, Sendable {
    /// Number of the shard.
    package var shard: Int
    /// What the first and the last batch tell, in microseconds since 1970.
    package var wallMicroseconds: ClosedRange<UInt64>

    package init(shard: Int, wallMicroseconds: ClosedRange<UInt64>) {
        self.shard = shard
        self.wallMicroseconds = wallMicroseconds
    }
}

/// The result of a read-only verification.
package struct StorageReport: Equatable, Sendable {
    /// Damage: what a start would refuse, or a fall-back would miss.
    package var problems: [StorageFinding] = []
    /// Worth knowing, harmless: unfinished tails, leftovers.
    package var notes: [StorageFinding] = []
    package var shardCount = 0
    package var shardFileCount = 0
    package var logSegmentCount = 0
    /// Records in the log from each shard's needed LSN on.
    package var logRecordCount = 0
    /// Of each shard whose log has records.
    package var logTimes: [LogTimes] = []
    /// Bytes of all shard files and log segments that were read.
    package var byteCount = 0

    package init() {}
}

/// Checks a whole stopped data directory and changes nothing.
///
/// - Parameters:
///   - directory: The data directory.
///   - opening: Opens a shard in which nothing else was found, as starting it would, and changes
///     nothing either; throws why it cannot be opened.
/// - Returns: What was found.
/// - Throws: `.locked` when a process of the cluster runs; `.ioFailure` when the directory cannot
///   be read. Damage is never thrown, it is in the report.
package func verifyDataDirectory(
    _ directory: Directory,
    opening: (_ shard: Int, ClusterManifest) throws(OmenError) -> Void
) throws(OmenError) -> StorageReport {
    let lock = try LockFile.acquireForReading(directory.path(of: DataDirectory.lockName))
    defer { withExtendedLifetime(lock) {} }
    var report = StorageReport()
    let path = directory.path(of: ClusterManifest.fileName)
    let manifest: ClusterManifest
    do {
        guard let found = try ClusterManifest.load(directory) else {
            report.problems.append(StorageFinding(file: path, what: "is missing"))
            return report
        }
        manifest = found
    } catch {
        report.problems.append(StorageFinding(file: path, error))
        return report
    }
    do {
        _ = try UnfinishedDropsFile.load(directory)
    } catch {
        let file = directory.path(of: UnfinishedDropsFile.fileName)
        report.problems.append(StorageFinding(file: file, error))
    }
    let shards = DataDirectory.shards(in: directory)
    do {
        try shards.checkKind()
        try noteSetAside(shards, into: &report)
    } catch {
        report.problems.append(StorageFinding(file: shards.path, error))
        return report
    }
    for shard in 0..<manifest.shardCount {
        let problemCount = report.problems.count
        do {
            try verifyShard(shard, of: manifest, directory, into: &report)
            // What the files say one by one is right; now whether the shard can be opened.
            if report.problems.count == problemCount { try opening(shard, manifest) }
        } catch {
            // Somebody works on the shard: nothing can be said about it.
            if error.code == .locked { throw error }
            let file = DataDirectory.shard(shard, in: directory).path
            report.problems.append(StorageFinding(file: file, error))
        }
    }
    return report
}

/// Says what accepted losses left behind.
private func noteSetAside(
    _ shards: Directory,
    into report: inout StorageReport
) throws(OmenError) {
    guard try shards.exists() else { return }
    for name in try shards.names() where name.utf8.contains(UInt8(ascii: ".")) {
        let what =
            name.contains(".lost-")
            ? "was set aside when a loss was accepted; nothing reads it"
            : "was left by an accept-loss that was cut short; the next one finishes or replaces it"
        report.notes.append(StorageFinding(file: shards.path(of: name), what: what))
    }
}

private func verifyShard(
    _ shard: Int,
    of manifest: ClusterManifest,
    _ directory: Directory,
    into report: inout StorageReport
) throws(OmenError) {
    let files = DataDirectory.shard(shard, in: directory)
    let known = manifest[progressOfShard: shard]
    try files.checkKind()
    guard try files.exists() else {
        // Nothing was ever stored in a shard that has not begun.
        try known.check(nil, in: files)
        return
    }
    let identity = manifest.identity(ofShard: shard)
    try verifyShardDirectory(files, identity: identity, known: known, into: &report)
}

/// Checks one stopped shard: manifest, both generations' files in full, and the log.
///
/// - Parameters:
///   - directory: The shard's files.
///   - identity: Whose files they must be.
///   - known: What the cluster knows of the shard; nil when nothing is known.
///   - report: Is told what was found.
/// - Throws: `.locked` while a process has the shard; `.ioFailure` when it cannot be read.
package func verifyShardDirectory(
    _ directory: Directory,
    identity: ShardIdentity,
    known: ShardProgress? = nil,
    into report: inout StorageReport
) throws(OmenError) {
    let lock = try directory.lockForReading(DataDirectory.shardLockName)
    defer { withExtendedLifetime(lock) {} }
    report.shardCount += 1
    let names = try directory.names()
    var neededLSN: UInt64 = 1
    var manifest: ShardManifest?
    let manifestPath = directory.path(of: ShardManifest.fileName)
    do {
        manifest = try ShardManifest.load(directory, identity: identity)
        if manifest == nil, names.contains(where: ShardFileName.isValid) {
            let what = "is missing, shard files are there"
            report.problems.append(StorageFinding(file: manifestPath, what: what))
        }
    } catch {
        report.problems.append(StorageFinding(file: manifestPath, error))
        // What is needed is unknown: take the log from where it starts.
        neededLSN = names.lazy.compactMap(LogSegment.firstLSN).first ?? 1
    }
    if let manifest {
        do {
            try known?.check(manifest, in: directory)
        } catch {
            report.problems.append(StorageFinding(file: manifestPath, error))
        }
        neededLSN = manifest.neededLSN
        for name in manifest.removableFiles(among: names) {
            let what = "is not needed and goes at the next start or checkpoint"
            report.notes.append(StorageFinding(file: directory.path(of: name), what: what))
        }
        verifyFiles(of: manifest, directory, into: &report)
    }
    do {
        try verifyLog(directory, names, identity, from: neededLSN, manifest, into: &report)
    } catch {
        report.problems.append(StorageFinding(file: directory.path, error))
    }
}

private func verifyFiles(
    of manifest: ShardManifest,
    _ directory: Directory,
    into report: inout StorageReport
) {
    var checked: Set<String> = []
    for checkpoint in [manifest.current] + (manifest.previous.map { [$0] } ?? []) {
        for entry in checkpoint.collections where checked.insert(entry.file).inserted {
            let path = directory.path(of: entry.file)
            do {
                let file = try ShardFile(entry.file, in: directory, identity: manifest.identity)
                try file.verify()
                report.shardFileCount += 1
                report.byteCount += file.fileByteCount
                guard file.collection == entry.name, file.schema == entry.schema,
                    file.lsn <= checkpoint.appliedLSN
                else {
                    let what =
                        "holds collection \(file.collection) at LSN \(file.lsn), the manifest expects "
                        + "\(entry.name) at \(checkpoint.appliedLSN) or below, or another schema"
                    report.problems.append(StorageFinding(file: path, what: what))
                    continue
                }
            } catch {
                report.problems.append(StorageFinding(file: path, error))
            }
        }
    }
}

private func verifyLog(
    _ directory: Directory,
    _ names: [String],
    _ identity: ShardIdentity,
    from lsn: UInt64,
    _ manifest: ShardManifest?,
    into report: inout StorageReport
) throws(OmenError) {
    let segmentNames = names.filter { LogSegment.firstLSN(of: $0) != nil }
    guard !segmentNames.isEmpty else {
        if manifest != nil {
            report.problems.append(StorageFinding(file: directory.path, what: "the log is missing"))
        }
        return
    }
    var segments: [(name: String, file: MappedFile)] = []
    for name in segmentNames {
        segments.append((name, try directory.map(name)))
    }
    defer { withExtendedLifetime(segments) {} }
    report.logSegmentCount += segments.count
    report.byteCount += segments.reduce(0) { $0 + $1.file.bytes.count }
    let scan = try LogScanner.examine(
        segments.map { LogSegmentBytes(name: $0.name, bytes: $0.file.bytes) },
        identity: identity,
        from: lsn,
        visit: { _, _ in }
    )
    report.logRecordCount += scan.recordCount
    if let times = scan.wallMicroseconds {
        report.logTimes.append(LogTimes(shard: Int(identity.shard), wallMicroseconds: times))
    }
    let lastName = segmentNames[segmentNames.count - 1]
    for offset in scan.damagedMarks {
        let what = "a sync mark is damaged; it held no records"
        report.notes.append(
            StorageFinding(file: directory.path(of: lastName), offset: offset, what: what)
        )
    }
    switch scan.end {
    case .clean: break
    case .torn(let segment, let offset, let lastLSN):
        let what = "unfinished write behind LSN \(lastLSN), cut at the next start"
        let path = directory.path(of: segment)
        report.notes.append(StorageFinding(file: path, offset: offset, what: what))
    case .corrupt(let segment, let offset, let lsn):
        let what = "durable records from LSN \(lsn) on are damaged or missing"
        let path = directory.path(of: segment)
        report.problems.append(StorageFinding(file: path, offset: offset, what: what))
    }
    if let applied = manifest?.current.appliedLSN, scan.tail != nil, scan.lastLSN < applied {
        let what = "the log ends at LSN \(scan.lastLSN), the checkpoint holds \(applied)"
        report.problems.append(StorageFinding(file: directory.path(of: lastName), what: what))
    }
}

extension StorageFinding {
    init(file: String, _ error: OmenError) { self.init(file: file, what: error.description) }
}
