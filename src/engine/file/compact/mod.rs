//! Compacting: the store is copied into a new file, which then takes the place of its file, while it is in use.

mod copying;
mod replace;

pub(super) use replace::compact;
