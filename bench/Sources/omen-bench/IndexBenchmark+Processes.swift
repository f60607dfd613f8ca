internal import Glibc
internal import OmenCore
internal import OmenIndex

/// The same index searched by several processes at once: our unit of concurrency.
///
/// `fork` shares the index's pages without a copy; the children have one thread, as the parent has.
extension IndexBenchmark {
    /// Queries per second of `processCount` processes together, each on its own part of the queries.
    ///
    /// Every child searches its part once to warm up and then for at least a third of a second; their
    /// rates add up, as all of them run all the time.
    func rateTogether(_ index: VectorIndex, ef: Int, processCount: Int) throws -> Double {
        var children: [(pid: pid_t, pipe: Int32)] = []
        for part in 0..<processCount {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { throw Failure("cannot make a pipe") }
            let pid = fork()
            guard pid >= 0 else { throw Failure("cannot fork") }
            if pid == 0 {
                close(ends[0])
                var rate = (try? rateOfPart(index, ef: ef, part: part, of: processCount)) ?? 0
                write(ends[1], &rate, MemoryLayout<Double>.size)
                // Nothing of the parent's is cleaned up here: the parent does.
                _exit(0)
            }
            close(ends[1])
            children.append((pid, ends[0]))
        }
        var sum = 0.0
        for child in children {
            var rate = 0.0
            let count = read(child.pipe, &rate, MemoryLayout<Double>.size)
            close(child.pipe)
            waitpid(child.pid, nil, 0)
            guard count == MemoryLayout<Double>.size, rate > 0 else {
                throw Failure("a searching process failed")
            }
            sum += rate
        }
        return sum
    }

    private func rateOfPart(
        _ index: VectorIndex,
        ef: Int,
        part: Int,
        of partCount: Int
    ) throws -> Double {
        let (element, bytes) = try queries.vectors()
        let byteCount = schema.dim * element.byteCount
        let range = queries.rows * part / partCount..<queries.rows * (part + 1) / partCount
        var hits: [Neighbor] = []
        return try bytes.withUnsafeBytes { raw in
            guard let first = raw.baseAddress, !range.isEmpty else { throw Failure("no queries") }
            var searched = 0
            var start = now()
            var isWarm = false
            while !isWarm || now() - start < 1.0 / 3 {
                if !isWarm, searched > 0 {
                    isWarm = true
                    searched = 0
                    start = now()
                }
                for query in range {
                    try index.search(
                        first + query * byteCount,
                        element: element,
                        k: k,
                        effort: .walk(ef: ef),
                        into: &hits
                    )
                }
                searched += range.count
            }
            return Double(searched) / (now() - start)
        }
    }
}
