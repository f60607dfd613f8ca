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

    @Test func nothingAcknowledgedIsLostUnderAnySeed() {
        var acknowledged = 0
        var faults = 0
        for seed in seeds {

            let simulation = Simulation(seed: seed)
            acknowledged += simulation.run()
            faults += simulation.faultCount
            #expect(simulation.violations.isEmpty, "seed \(seed): \(simulation.violations)")
        }
        // A simulation in which nothing happens would prove nothing.
        #expect(acknowledged > 50 * seeds.count, "\(acknowledged) records acknowledged")
        #expect(faults > 2 * seeds.count, "\(faults) faults")
        print("simulated \(seeds.count) seeds: \(acknowledged) acknowledged, \(faults) faults")
    }

    @Test func equalSeedsGiveEqualRuns() {
        for seed in UInt64(1)...25 {
            let first = Simulation(seed: seed)
            let second = Simulation(seed: seed)
            #expect(first.run() == second.run(), "seed \(seed)")
            #expect(first.trace == second.trace, "seed \(seed)")
        }
    }

    @Test(arguments: Mutant.allCases.filter { $0 != .none })
    func everyPlantedBugIsCaught(mutant: Mutant) {
        var violations: [String] = []
        let caught = (UInt64(1)...Self.mutantSeedMax).first { seed in
            let simulation = Simulation(seed: seed, mutant: mutant)
            _ = simulation.run()
            violations = simulation.violations
            return !violations.isEmpty
        }
        #expect(caught != nil, "\(mutant) survived \(Self.mutantSeedMax) seeds")
        if let caught { print("\(mutant) is caught by seed \(caught): \(violations)") }
    }
}
