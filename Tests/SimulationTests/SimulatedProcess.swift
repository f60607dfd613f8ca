import OmenCore
import OmenShard
import OmenSystem

/// One process of the simulated cluster: its clock, its threads and its end.
///
/// Its background work runs in fibers. Before each change of the disk a fiber may pause, for a time
/// that is drawn from the seed, and whatever else happens in the cluster happens meanwhile.
final class SimulatedProcess: @unchecked Sendable {
    unowned let simulation: Simulation
    private(set) var isAlive = true
    /// While stopped (SIGSTOP) what is due waits.
    var pausedUntil: UInt64 = 0
    /// Called when a job has finished something.
    var whenWoken: () -> Void = {}
    /// The job whose turn it is.
    private var running: SimulatedJob?
    private var jobs: [SimulatedJob] = []
    private var lastRead: UInt64 = 0

    /// Nanoseconds that pass between two looks at the clock.
    private static let lookTime: UInt64 = 10_000

    init(_ simulation: Simulation) { self.simulation = simulation }

    /// Everything that the shard's engine knows of the world besides its files.
    var machine: Machine {
        Machine(
            time: TimeSource(simulated: self),
            executor: self,
            random: { [unowned self] in self.simulation.random.next() },
            availableByteCount: { 1 << 40 }
        )
    }

    /// From now on nothing that the process does is seen.
    func die() { isAlive = false }

    /// Lets every job come to its end, after `die`.
    func endJobs() {
        for job in jobs where !job.isFinished { job.join() }
        jobs = []
    }

    /// Runs `action` later, unless the process is gone by then.
    func after(_ delay: ClosedRange<UInt64>, _ action: @escaping () -> Void) {
        simulation.schedule(after: simulation.draw(delay)) { [weak self] in
            guard let self, self.isAlive else { return }
            if self.simulation.now < self.pausedUntil {
                let rest = self.pausedUntil - self.simulation.now
                self.after(rest...rest, action)
                return
            }
            action()
        }
    }

    /// A change of the disk is to come: others may get their turn before it.
    func aboutToChange(_ what: String) {
        simulation.note(what)
        // Names and syncs are where the order counts most.
        let isStep = what.hasPrefix("sync") || what.hasPrefix("re") || what.hasPrefix("create")
        guard isStep || simulation.draw(0...7) == 0 else { return }
        pause(isStep ? 50_000...2_000_000 : 1000...300_000)
    }

    /// Pauses the job whose turn it is, if one has it.
    func pause(_ delay: ClosedRange<UInt64>) {
        guard let job = running, !job.isHurried else { return }
        schedule(job, after: simulation.draw(delay))
        job.pause()
    }

    fileprivate func schedule(_ job: SimulatedJob, after delay: UInt64) {
        let pauseCount = job.pauseCount + 1
        job.pauseCount = pauseCount
        simulation.schedule(after: delay) { [weak self] in
            guard let self, !job.isFinished, job.pauseCount == pauseCount else { return }
            guard self.simulation.now >= self.pausedUntil else {
                self.schedule(job, after: self.pausedUntil - self.simulation.now)
                return
            }
            self.turn(job)
        }
    }

    /// Gives a job its turn.
    fileprivate func turn(_ job: SimulatedJob) {
        let outer = running
        running = job
        job.resume()
        running = outer
    }

    /// Begins a job, whose first step comes later.
    @discardableResult
    func begin(_ body: @escaping () -> Void) -> SimulatedJob {
        jobs.removeAll(where: \.isFinished)
        let job = SimulatedJob(self, body)
        jobs.append(job)
        schedule(job, after: simulation.draw(10_000...500_000))
        return job
    }
}

extension SimulatedProcess: SimulatedTime {
    var nanoseconds: UInt64 {
        lastRead = max(lastRead + Self.lookTime, simulation.now)
        return lastRead
    }

    /// The simulation begins in the year 2024, and its clocks are set back every two seconds.
    var microsecondsSince1970: UInt64 {
        1_704_067_200_000_000 + nanoseconds / 1000 % 2_000_000
    }

    func sleep(nanoseconds: UInt64) { pause(nanoseconds...nanoseconds) }
}

extension SimulatedProcess: Executor {
    func start(
        _ priority: BackgroundThread.Priority,
        _ job: @escaping @Sendable () -> Void
    ) throws(OmenError) -> any BackgroundJob { begin(job) }

    func makeQueue() throws(OmenError) -> any JobQueue { SimulatedQueue(self) }
}

/// A job of a simulated process.
final class SimulatedJob: BackgroundJob, @unchecked Sendable {
    private unowned let process: SimulatedProcess
    private var fiber: Fiber?
    /// Tells an outdated turn from the one that is awaited.
    fileprivate(set) var pauseCount = 0
    /// Somebody waits for it: it pauses no more.
    private(set) var isHurried = false

    var isFinished: Bool { fiber == nil }

    init(_ process: SimulatedProcess, _ body: @escaping () -> Void) {
        self.process = process
        fiber = Fiber.begin(body)
    }

    fileprivate func resume() {
        if fiber?.resume() == true { fiber = nil }
    }

    fileprivate func pause() { fiber?.pause() }

    func join() {
        isHurried = true
        while !isFinished { process.turn(self) }
    }
}

/// Jobs of a simulated process that run one after the other.
private final class SimulatedQueue: JobQueue, @unchecked Sendable {
    private unowned let process: SimulatedProcess
    private var waiting: [@Sendable () -> Void] = []
    private var job: SimulatedJob?

    init(_ process: SimulatedProcess) { self.process = process }

    func submit(_ job: @escaping @Sendable () -> Void) {
        waiting.append(job)
        guard self.job == nil || self.job?.isFinished == true else { return }
        self.job = process.begin { [self] in
            while !waiting.isEmpty {
                waiting.removeFirst()()
                process.pause(1000...200_000)
            }
        }
    }

    func close() {
        if let job, !job.isFinished { job.join() }
        while !waiting.isEmpty { waiting.removeFirst()() }
    }
}
