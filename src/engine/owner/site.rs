//! Where the file of a store lies, and on which machine.

use super::host::Host;
use super::places::Places;
use crate::sync::{Mutex, lock};

#[derive(Debug)]
pub(crate) struct Site {
    places: Mutex<Places>,
    pub(crate) host: Host,
}

impl Site {
    /// On this machine.
    pub(crate) fn new(places: Places) -> Self {
        Self { places: Mutex::new(places), host: Host::this() }
    }

    /// Where the file is found.
    pub(crate) fn places(&self) -> Places {
        lock(&self.places).clone()
    }

    /// It is found there from now on.
    pub(crate) fn move_to(&self, places: Places) {
        *lock(&self.places) = places;
    }
}
