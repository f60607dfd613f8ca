package import OmenCore

extension ShardProgress {
    /// Checks a shard's manifest against what the cluster knows of the shard.
    ///
    /// - Parameters:
    ///   - manifest: Nil when the shard's directory has none.
    ///   - directory: The shard's directory, which need not be there.
    /// - Throws: `.corrupt` naming the missing or wrong file, and what was expected of it.
    package func check(
        _ manifest: ShardManifest?,
        in directory: Directory
    ) throws(OmenError) {
        let path = directory.path(of: ShardManifest.fileName)
        guard let manifest else {
            guard hasBegun else { return }
            throw OmenError(
                .corrupt,
                "\(path) is missing: \(ClusterManifest.fileName) says that the shard has begun and reached \(description)"
            )
        }
        guard hasBegun else {
            // The first start was cut short between the two manifests, and nothing was served.
            guard manifest.generation > 0 else { return }
            throw OmenError(
                .corrupt,
                "\(path) is of generation \(manifest.generation), but \(ClusterManifest.fileName) says that the shard has not begun: \(ClusterManifest.fileName) is older than the shard"
            )
        }
        guard manifest.history == history else {
            throw OmenError(
                .corrupt,
                "\(path) is of history \(hexadecimal(manifest.history)), \(ClusterManifest.fileName) expects \(hexadecimal(history)): one of them is of another time"
            )
        }
        guard manifest.generation >= generation else {
            throw OmenError(
                .corrupt,
                "\(path) is of generation \(manifest.generation), \(ClusterManifest.fileName) knows of generation \(generation): the shard's files are older than the cluster"
            )
        }
    }

    /// Checks how far a shard's log goes.
    ///
    /// - Parameters:
    ///   - lastLSN: The last record that the shard holds.
    ///   - directory: The shard's directory, for the message.
    /// - Throws: `.corrupt` when durable records are missing, or when there are records although
    ///   the shard has not begun.
    package func check(lastLSN: UInt64, in directory: Directory) throws(OmenError) {
        guard lastLSN >= durableLSN else {
            throw OmenError(
                .corrupt,
                "\(directory.path): the log ends at LSN \(lastLSN), \(ClusterManifest.fileName) knows of LSN \(durableLSN): a log segment was cut or replaced by an older one"
            )
        }
        guard hasBegun || lastLSN == 0 else {
            throw OmenError(
                .corrupt,
                "\(directory.path) holds records up to LSN \(lastLSN), but \(ClusterManifest.fileName) says that the shard has not begun: \(ClusterManifest.fileName) is older than the shard"
            )
        }
    }
}
