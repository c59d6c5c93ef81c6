//! When a write is acknowledged.

/// When an append is acknowledged, and what a crash may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the storage has synced it: an acknowledged event survives a crash of the process, of the system, and
    /// a power cut.
    #[default]
    Durable,
    /// As soon as it is ordered and readable. It is made durable by the next durable commit, by closing, or within
    /// 100 ms. Until then a crash of the process, of the system or a power cut may lose it, and everything after it:
    /// what is lost is always a suffix of the store, never a gap. Its positions are then assigned again.
    Relaxed,
}
