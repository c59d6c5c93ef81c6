/// Which handlers a publisher waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// Those that asked for it with [`Subscribe::awaited`](super::Subscribe::awaited).
    #[default]
    Awaited,
    /// All that take the event.
    All,
}
