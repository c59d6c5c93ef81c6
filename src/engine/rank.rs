//! How fit a process is to own a store.

/// How fit a process is to own a store: a higher one takes over from a lower one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    /// A command that ends soon, or that a person stops: it hands over to anybody else.
    Cli,
    /// A server that gives other programs access to the store.
    Serve,
    /// The application that the store belongs to.
    #[default]
    Application,
}

impl Rank {
    /// The rank that another process has told. One of a later release may have others: none is above an application.
    pub(crate) fn of(number: u8) -> Self {
        match number {
            0 => Self::Cli,
            1 => Self::Serve,
            _ => Self::Application,
        }
    }
}
