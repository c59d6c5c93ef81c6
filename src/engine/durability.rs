//! When a write is answered.

/// When an append is answered, and what a crash may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the storage has synced it: an acknowledged event survives a crash of the process, of the system, and
    /// a power cut.
    #[default]
    Durable,
    /// As soon as it is ordered and readable. It is made durable by the next durable commit, by closing, or within
    /// 100 ms. Until then a crash of the process, of the system or a power cut may take it, and everything after
    /// it: what is lost is always the end of the store, never a hole. Its positions are then given again.
    Relaxed,
}
