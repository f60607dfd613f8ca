internal import OmenSystem
internal import ArgumentParser

/// The command line of a cluster: arguments, output and wiring, nothing else.
@main
struct OmenCluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "omen-cluster",
        abstract: "A vector database of one process per shard.",
        discussion: """
            Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 failure, 64 wrong \
            usage, 69 no cluster there, 75 a shard is missing from the answer.
            """,
        version: "0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Cluster:",
                subcommands: [Start.self, StopCluster.self, Status.self]
            ),
            CommandGroup(
                name: "Collections:",
                subcommands: [
                    Create.self, Collections.self, Drop.self, Clear.self, Calibrate.self,
                ]
            ),
            CommandGroup(
                name: "Records:",
                subcommands: [
                    Import.self, Add.self, Get.self, Delete.self, Count.self, Search.self,
                ]
            ),
            CommandGroup(
                name: "Files:",
                subcommands: [Checkpoint.self, Verify.self, AcceptLoss.self]
            ),
            CommandGroup(name: "Processes:", subcommands: [Coordinator.self, Worker.self]),
        ]
    )

    static func main() {
        do {
            try checkArguments()
        } catch { exit(withError: error) }
        main(nil)
    }
}
