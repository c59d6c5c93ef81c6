//! Orders that were thought of, and are wrong.

/// Orders that were thought of, and are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What seems to be left over is removed by whoever is about to try the lock.
    UnlinkWithoutTheLock,
    BindBeforeTheLock,
    RecordBeforeTheLock,
    /// An owner that does not answer is taken for dead.
    TakeOverFromTheSilent,
    /// A lock that was taken long ago is taken away.
    TakeOverByAge,
    /// What is received is acknowledged, and written later.
    AcknowledgeBeforeWriting,
    /// What is received when the owner leaves is acknowledged, and not written any more.
    AcknowledgeBeforeClosing,
    /// The lock is released while the file is still open.
    UnlockBeforeClosing,
    /// Record and socket are removed when somebody else may have the lock.
    WithdrawAfterUnlocking,
    /// The connections stay open when the owner leaves.
    LeaveWithoutAWord,
    /// Nobody asks an owner of lower rank for the store.
    NobodyAsks,
    /// An append without an answer counts as failed.
    LostMeansFailed,
    /// A record whose process seems to live is believed, whatever its socket says: the number may be used again.
    BelieveTheRecord,
    /// One that lost its owner only looks for another.
    NobodyTakesOver,
    /// An owner whose storage has failed keeps the store.
    AFailedOwnerStays,
    /// Who reads for long, as a check of everything does, goes on when the owner leaves.
    AWalkIsNotStopped,
    /// A storage that fails again before its owner watches it is not noticed.
    AnEarlyFailureIsNotTold,
    /// An append whose outcome is unknown, since the owner's storage failed, counts as failed.
    UnknownMeansFailed,
    /// A store that is open ends when the next opening of its file fails.
    AnOpeningThatFailsEndsTheStore,
    /// Who cannot open the file keeps it locked.
    AnOpeningThatFailsKeepsTheLock,
}

pub(super) const WRONG: [Wrong; 20] = [
    Wrong::UnlinkWithoutTheLock,
    Wrong::BindBeforeTheLock,
    Wrong::RecordBeforeTheLock,
    Wrong::TakeOverFromTheSilent,
    Wrong::TakeOverByAge,
    Wrong::AcknowledgeBeforeWriting,
    Wrong::AcknowledgeBeforeClosing,
    Wrong::UnlockBeforeClosing,
    Wrong::WithdrawAfterUnlocking,
    Wrong::LeaveWithoutAWord,
    Wrong::NobodyAsks,
    Wrong::LostMeansFailed,
    Wrong::BelieveTheRecord,
    Wrong::NobodyTakesOver,
    Wrong::AFailedOwnerStays,
    Wrong::AWalkIsNotStopped,
    Wrong::AnEarlyFailureIsNotTold,
    Wrong::UnknownMeansFailed,
    Wrong::AnOpeningThatFailsEndsTheStore,
    Wrong::AnOpeningThatFailsKeepsTheLock,
];
