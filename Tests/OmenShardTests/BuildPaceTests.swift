import Foundation
import OmenSystem
import Testing

@testable import OmenShard

/// How builds give way to searches.
struct BuildPaceTests {
    private static let millisecond: UInt64 = 1_000_000

    @Test func withoutSearchesNothingPauses() {
        var pace = BuildPace(now: 0, searchCount: 7)
        let pauses = (0..<1000).filter { step in
            pace.shouldPause(now: UInt64(step) * Self.millisecond, searchCount: 7)
        }
        #expect(pauses.isEmpty)
    }

    @Test func whileSearchesComeEveryStretchEndsWithAPause() {
        var pace = BuildPace(now: 0, searchCount: 0)
        var pauses = [BuildPace.stretch - 1, BuildPace.stretch].map { now in
            pace.shouldPause(now: now, searchCount: 1)
        }
        #expect(pauses == [false, true])
        pace.resume(now: Self.millisecond)
        let next = Self.millisecond + BuildPace.stretch
        // The one search a moment ago is reason enough.
        pauses = [next - 1, next].map { pace.shouldPause(now: $0, searchCount: 1) }
        #expect(pauses == [false, true])
    }

    @Test func aWhileAfterTheLastSearchNothingPauses() {
        var pace = BuildPace(now: 0, searchCount: 0)
        let searched = Self.millisecond
        let quiet = searched + BuildPace.memory
        let steps = [(searched, 1), (quiet - 1, 1), (quiet, 1), (quiet, 2)]
        let pauses = steps.map { pace.shouldPause(now: $0.0, searchCount: $0.1) }
        #expect(pauses == [true, true, false, true])
    }

    @Test func oneBuildGoesOnWhileSearchesCome() throws {
        try withTemporaryDirectory { directory in
            try takeTurns(at: directory + "/builds.lock")
        }
    }

    private func takeTurns(at path: String) throws {
        let searches = BuildBrake.Searches()
        let first = BuildBrake(searches, turnPath: path, time: .system)
        var second: BuildBrake? = BuildBrake(searches, turnPath: path, time: .system)
        /// - Returns: How often it asked whether to go on waiting.
        func looks(_ brake: BuildBrake?, shouldStop: (Int) -> Bool) -> Int {
            var count = 0
            searches.add()
            usleep(300)
            brake?.breathe(rests: true) {
                searches.add()
                count += 1
                return shouldStop(count)
            }
            return count
        }
        #expect(looks(second) { _ in true } == 0)
        // Another build has the turn: wait for it, as long as searches come.
        #expect(looks(first) { $0 == 3 } == 3)
        let waited = looks(first) { count in
            if count == 3 { second = nil }
            return false
        }
        #expect(waited == 3)
        #expect(looks(first) { _ in true } == 0)
        // A file that cannot be used holds nobody back.
        let broken = BuildBrake(searches, turnPath: "/proc/none/builds.lock", time: .system)
        #expect(looks(broken) { _ in true } == 0)
    }
}
