/// A commit of which nobody knows whether it was written.
pub(super) struct Doubt {
    /// The turn before it.
    pub(super) turn: u64,
    /// The deliveries that it hands out, and nobody has received.
    pub(super) offered: Vec<u64>,
}
