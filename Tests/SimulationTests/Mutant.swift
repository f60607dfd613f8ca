/// Bugs planted to prove that the simulation would see them.
///
/// Most of them lie between the shard and its disk, see `LyingFiles`; the others are in what the
/// simulation hands to the shard or to the coordinator. None needs a word in the code that is
/// tested.
enum Mutant: String, CaseIterable {
    case none

    // The log.

    /// Acknowledges what is written but not yet synced.
    case acknowledgeBeforeSync
    /// Takes a failed sync for a successful one.
    case believeFailedSync

    // The order of a checkpoint.

    /// Deletes the log before the checkpoint that replaces it is on disk.
    case removeLogBeforeCheckpoint
    /// Names shard files in the manifest that were never synced.
    case trustUnsyncedShardFiles
    /// Deletes the files of the checkpoint in force before the manifest names the next ones.
    case removeFilesBeforeManifest

    // The manifest.

    /// Gives a manifest its name before its bytes are synced.
    case renameUnsyncedManifest
    /// Goes on before the manifest's name is durable.
    case leaveManifestNameUnsynced

    // Recovery.

    /// Leaves out the last batch of the log.
    case skipLastBatch
    /// Leaves out the last segment of the log.
    case skipLastSegment
    /// Serves a shard that begins empty although the cluster knows that it had begun.
    case believeEmptyShard
    /// Finds nothing wrong with a shard file that has rotted.
    case trustRottenFile

    // Request keys.

    /// Forgets at a start which writes were applied.
    case forgetRequestKeys
    /// Writes checkpoints without the keys of the writes in them.
    case storeNoRequestKeys

    // Drops.

    /// Forgets at a start of the coordinator which drops are not finished.
    case forgetUnfinishedDrops
}
