import Foundation
import Testing

/// Seeds to run: `OMENDB_SIMULATION_SEEDS=FIRST..LAST`, else 1 to 1,000.
private let seeds: ClosedRange<UInt64> = {
    let text = ProcessInfo.processInfo.environment["OMENDB_SIMULATION_SEEDS"] ?? ""
    let bounds = text.split(separator: ".").compactMap { UInt64($0) }
    guard bounds.count == 2, bounds[0] <= bounds[1] else { return 1...1000 }
    return bounds[0]...bounds[1]
}()

@Suite struct SimulationTests {
    /// Every planted bug shows within so many seeds.
    private static let mutantSeedMax: UInt64 = 10_000

    /// The seeds are dealt to as many tests as there are blocks, which run beside each other.
    private static let blockCount: UInt64 = 4

    @Test(arguments: 0..<blockCount)
    func nothingAcknowledgedIsLostUnderAnySeed(block: UInt64) {
        let seeds = seeds.filter { $0 % Self.blockCount == block }
        var sum = Tally()
        for seed in seeds {
            let simulation = Simulation(seed: seed)
            simulation.run()
            sum += simulation.tally
            #expect(simulation.violations.isEmpty, "seed \(seed): \(simulation.violations)")
        }
        print("simulated \(seeds.count) seeds: \(sum)")
        // A simulation in which nothing happens would prove nothing.
        guard seeds.count >= 10 else { return }
        #expect(sum.acknowledged > 50 * seeds.count)
        #expect(sum.faults > 2 * seeds.count)
        #expect(sum.replays > 2 * seeds.count)
        #expect(sum.checkpoints > 2 * seeds.count)
        #expect(sum.builds > seeds.count)
        #expect(sum.deferredChecks > seeds.count)
        #expect(sum.cutOperations * 4 > seeds.count)
    }

    @Test func equalSeedsGiveEqualRuns() {
        for seed in UInt64(1)...25 {
            let first = Simulation(seed: seed)
            let second = Simulation(seed: seed)
            first.run()
            second.run()
            #expect(first.trace == second.trace, "seed \(seed)")
        }
    }

    @Test(arguments: Mutant.allCases.filter { $0 != .none })
    func everyPlantedBugIsCaught(mutant: Mutant) {
        var violations: [String] = []
        let caught = (UInt64(1)...Self.mutantSeedMax).first { seed in
            let simulation = Simulation(seed: seed, mutant: mutant)
            simulation.run()
            violations = simulation.violations
            return !violations.isEmpty
        }
        #expect(caught != nil, "\(mutant) survived \(Self.mutantSeedMax) seeds")
        if let caught { print("\(mutant) is caught by seed \(caught): \(violations)") }
    }
}
