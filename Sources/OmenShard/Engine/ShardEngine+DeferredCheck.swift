internal import OmenCore
internal import OmenSystem

/// Checking what opening left unchecked.
extension ShardEngine {
    func startCheck(_ check: DeferredCheck) throws(OmenError) {
        self.check = check
        store.isLinkingHeld = true
        let (completions, time) = (completions, machine.time)
        checkThread = try machine.executor.start(.low) {
            do throws(OmenError) {
                if try check.run(time) { completions.push(.checked(nil)) }
            } catch { completions.push(.checked(error)) }
        }
    }

    func finishCheck(_ failure: OmenError?) {
        checkThread?.join()
        checkThread = nil
        if let failure {
            failed(failure)
            return
        }
        check = nil
        store.isLinkingHeld = false
    }
}
