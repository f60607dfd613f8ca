package import OmenCore
package import OmenWire

extension ClusterClient {
    /// Nearest neighbours of each query.
    ///
    /// A partial answer is returned, not thrown, when the query allows it: see `coverage`.
    package func search(_ query: SearchRequest) throws(OmenError) -> SearchReply {
        try query.validate()
        let answer = try callRead(.search(query))
        guard case .hits(let reply) = answer else { throw unexpected(answer) }
        guard reply.hitCounts.count == query.count else {
            throw OmenError(
                .protocolViolation,
                "hits of \(reply.hitCounts.count) queries, asked were \(query.count)"
            )
        }
        return reply
    }

    /// Many searches with up to `window` of them in flight; answers in the order of the queries.
    ///
    /// Those that an overloaded cluster refuses are repeated in the end, one after the other.
    /// - Throws: When the connection breaks; a search that fails by itself is in the results.
    package func search(
        _ queries: [SearchRequest],
        window: Int
    ) throws(OmenError) -> [Result<SearchReply, OmenError>] {
        precondition(window > 0, "window is \(window)")
        for query in queries { try query.validate() }
        let connection = try openConnection()
        var places: [UInt64: Int] = [:]
        var results: [Result<SearchReply, OmenError>?] = Array(repeating: nil, count: queries.count)
        var next = 0
        while next < queries.count || !places.isEmpty {
            while next < queries.count, places.count < window {
                places[try connection.submit(.search(queries[next]))] = next
                next += 1
            }
            let answers = try connection.exchange(until: .now + answerTimeout)
            guard !answers.isEmpty else {
                for id in places.keys { connection.forget(id) }
                throw OmenError(.unavailable, "no answer to search within \(answerTimeout)")
            }
            for answer in answers {
                guard let place = places.removeValue(forKey: answer.requestID) else { continue }
                switch answer.message {
                case .hits(let reply): results[place] = .success(reply)
                case .failure(let error): results[place] = .failure(error)
                default: throw unexpected(answer.message)
                }
            }
        }
        for (place, result) in results.enumerated() {
            guard case .failure(let error) = result, error.retryAfterMilliseconds > 0 else {
                continue
            }
            results[place] = Result { () throws(OmenError) in try search(queries[place]) }
        }
        return results.compactMap(\.self)
    }

    /// Records by id, in the order asked; those not found are left out.
    package func get(
        collection: String,
        ids: [RecordID],
        withVector: Bool = false
    ) throws(OmenError) -> RecordsReply {
        try CollectionName.validate(collection)
        try WriteOperation.validate(ids)
        let request = GetRequest(collection: collection, ids: ids, withVector: withVector)
        let answer = try callRead(.get(request))
        guard case .records(let reply) = answer else { throw unexpected(answer) }
        return reply
    }

    /// Tries to list a shard whose records get into another order meanwhile.
    private static let listTryCount = 10

    /// The ids of all records, shard after shard.
    ///
    /// - Parameters:
    ///   - collection: Its name.
    ///   - shardCount: Shards of the cluster.
    /// - Returns: The ids, each shard's oldest row first; records written meanwhile may be missing.
    /// - Throws: `.notFound`, `.unavailable` when a shard cannot answer.
    package func list(collection: String, shardCount: Int) throws(OmenError) -> [RecordID] {
        var ids: [RecordID] = []
        for shard in 0..<shardCount {
            var tryCount = 1
            while true {
                do throws(OmenError) {
                    ids += try list(collection: collection, shard: shard)
                    break
                } catch {
                    guard error.code == .unavailable, tryCount < Self.listTryCount else {
                        throw error
                    }
                    tryCount += 1
                }
            }
        }
        return ids
    }

    private func list(collection: String, shard: Int) throws(OmenError) -> [RecordID] {
        try CollectionName.validate(collection)
        var ids: [RecordID] = []
        var request = ListRequest(collection: collection, shard: UInt32(shard))
        while true {
            let answer = try callRead(.list(request))
            guard case .listed(let page) = answer else { throw unexpected(answer) }
            ids += page.ids
            if page.next == 0 { return ids }
            request.start = page.next
            request.order = page.order
        }
    }

    /// Records in a collection.
    package func count(collection: String) throws(OmenError) -> CountReply {
        try CollectionName.validate(collection)
        let answer = try callRead(.count(collection: collection))
        guard case .counted(let reply) = answer else { throw unexpected(answer) }
        return reply
    }

    /// Every collection with its schema.
    package func listCollections() throws(OmenError) -> [CollectionInfo] {
        let answer = try callRead(.listCollections)
        guard case .collections(let infos) = answer else { throw unexpected(answer) }
        return infos
    }

    /// What the coordinator and each worker say of themselves.
    package func status() throws(OmenError) -> ClusterStatus {
        let answer = try callRead(.status)
        guard case .clusterStatus(let status) = answer else { throw unexpected(answer) }
        return status
    }

    /// Returns when the coordinator has answered.
    package func ping() throws(OmenError) { try expectDone(try callRead(.ping)) }

    /// Writes every shard to disk; returns when that is done.
    package func checkpoint(timeout: Duration = .seconds(600)) throws(OmenError) {
        try expectDone(try call(.checkpoint, timeout: timeout))
    }

    /// Drains, checkpoints and ends the cluster; returns when the coordinator says so.
    package func stop(timeout: Duration = .seconds(600)) throws(OmenError) {
        try expectDone(try call(.stop, timeout: timeout))
    }

    /// Lets a shard that is out of service go on with what is left of its files; returns when its
    /// worker was told.
    ///
    /// - Throws: `.badRequest` when the shard is in service, or there is none of that number.
    package func acceptLoss(shard: UInt32) throws(OmenError) {
        try expectDone(try call(.acceptLoss(shard: shard)))
    }

    private func expectDone(_ answer: Message) throws(OmenError) {
        guard case .done = answer else { throw unexpected(answer) }
    }

    func unexpected(_ answer: Message) -> OmenError {
        OmenError(.protocolViolation, "the coordinator answered with \(answer.kind)")
    }
}
