internal import OmenCore

extension CollectionInfo {
    static func encode(_ infos: [CollectionInfo], into writer: inout ByteWriter) {
        writer.write(UInt32(infos.count))
        for info in infos {
            writer.write(info.name)
            info.schema.encode(into: &writer)
        }
    }

    static func decodeList(from reader: inout ByteReader) throws(OmenError) -> [CollectionInfo] {
        let count = try reader.readItemCount(limit: Limits.collectionCountMax, least: 16)
        var infos: [CollectionInfo] = []
        infos.reserveCapacity(count)
        for _ in 0..<count {
            let name = try reader.readCollectionName()
            infos.append(CollectionInfo(name: name, schema: try CollectionSchema(from: &reader)))
        }
        return infos
    }
}

extension CollectionStatus {
    static let leastByteCount = 4 + CollectionSchema.byteCount + 6 * 8 + 2 + 1 + 1
    /// In the place of `building` when nothing is being built.
    private static let notBuilding = UInt16.max

    func encode(into writer: inout ByteWriter) {
        writer.write(name)
        schema.encode(into: &writer)
        writer.write(vectors)
        writer.write(linked)
        writer.write(rows)
        writer.write(deleted)
        writer.write(fileByteCount)
        writer.write(building.map { UInt16(clamping: min($0, 1000)) } ?? Self.notBuilding)
        writer.write(buildByteCount)
        writer.write(UInt8(waitsForMemory ? 1 : 0))
        CalibrationTable.encode(calibration, into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        self.init(
            name: try reader.readCollectionName(),
            schema: try CollectionSchema(from: &reader)
        )
        vectors = try reader.read(UInt64.self)
        linked = try reader.read(UInt64.self)
        rows = try reader.read(UInt64.self)
        deleted = try reader.read(UInt64.self)
        fileByteCount = try reader.read(UInt64.self)
        let permille = try reader.read(UInt16.self)
        guard permille <= 1000 || permille == Self.notBuilding else {
            throw OmenError(
                .protocolViolation,
                "\(permille) thousandths are built, expected at most 1000"
            )
        }
        building = permille == Self.notBuilding ? nil : Int(permille)
        buildByteCount = try reader.read(UInt64.self)
        waitsForMemory = try reader.readBool()
        calibration = try CalibrationTable.decode(from: &reader)
    }
}

extension ShardStatus {
    func encode(into writer: inout ByteWriter) {
        writer.write(residentByteCount)
        writer.write(logByteCount)
        writer.write(appliedLSN)
        writer.write(durableLSN)
        writer.write(checkpointLSN)
        writer.write(UInt32(collections.count))
        for collection in collections { collection.encode(into: &writer) }
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        residentByteCount = try reader.read(UInt64.self)
        logByteCount = try reader.read(UInt64.self)
        appliedLSN = try reader.read(UInt64.self)
        durableLSN = try reader.read(UInt64.self)
        checkpointLSN = try reader.read(UInt64.self)
        let count = try reader.readItemCount(
            limit: Limits.collectionCountMax,
            least: CollectionStatus.leastByteCount
        )
        collections = []
        collections.reserveCapacity(count)
        for _ in 0..<count { collections.append(try CollectionStatus(from: &reader)) }
    }
}

extension WorkerState {
    init(from reader: inout ByteReader) throws(OmenError) {
        let number = try reader.read(UInt8.self)
        guard let state = WorkerState(rawValue: number) else {
            throw OmenError(.protocolViolation, "worker state \(number) is unknown")
        }
        self = state
    }
}

extension WorkerStatus {
    static let leastByteCount = 4 + 4 + 1 + 4 + 4 + 1

    func encode(into writer: inout ByteWriter) {
        writer.write(shard)
        writer.write(pid)
        writer.write(state.rawValue)
        writer.write(restarts)
        writer.write(lastError.cutForFrame)
        writer.write(UInt8(shardStatus == nil ? 0 : 1))
        shardStatus?.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        shard = try reader.read(UInt32.self)
        pid = try reader.read(UInt32.self)
        state = try WorkerState(from: &reader)
        restarts = try reader.read(UInt32.self)
        lastError = try reader.readText(limit: Limits.errorMessageByteCountMax)
        shardStatus = try reader.readBool() ? try ShardStatus(from: &reader) : nil
    }
}

extension ClusterStatus {
    func encode(into writer: inout ByteWriter) {
        writer.write(pid)
        writer.write(uptimeMilliseconds)
        writer.write(socket)
        writer.write(UInt32(workers.count))
        for worker in workers { worker.encode(into: &writer) }
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        pid = try reader.read(UInt32.self)
        uptimeMilliseconds = try reader.read(UInt64.self)
        socket = try reader.readText(limit: Limits.socketPathByteCountMax)
        let count = try reader.readItemCount(
            limit: Limits.shardCountMax,
            least: WorkerStatus.leastByteCount
        )
        workers = []
        workers.reserveCapacity(count)
        for _ in 0..<count { workers.append(try WorkerStatus(from: &reader)) }
    }
}

extension WorkerAnnouncement {
    func encode(into writer: inout ByteWriter) {
        writer.write(shard)
        writer.write(incarnation)
        writer.write(state.rawValue)
        writer.write(replayed)
        progress.encode(into: &writer)
        CollectionInfo.encode(collections, into: &writer)
        writer.write(reason.cutForFrame)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        shard = try reader.read(UInt32.self)
        incarnation = try reader.read(UInt64.self)
        state = try WorkerState(from: &reader)
        replayed = try reader.read(UInt64.self)
        progress = try ShardProgress(from: &reader)
        collections = try CollectionInfo.decodeList(from: &reader)
        reason = try reader.readText(limit: Limits.errorMessageByteCountMax)
    }
}
