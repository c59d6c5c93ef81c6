//! Reading another process's store.

use std::sync::Arc;

use super::asking::wait;
use super::link::Connection;
use crate::engine::get::{Get, Got};
use crate::engine::identity::Identity;
use crate::engine::port::EngineReader;
use crate::engine::process::Process;
use crate::error::Result;
use crate::event::Position;

/// Reads over a connection, which lasts as long as this.
#[derive(Debug)]
pub(super) struct SharedReader {
    pub(super) connection: Arc<Connection>,
    pub(super) identity: Arc<Identity>,
}

impl Drop for SharedReader {
    fn drop(&mut self) {
        self.process().keep(&self.connection);
    }
}

impl EngineReader for SharedReader {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn process(&self) -> &Process {
        &self.connection.0.process
    }

    fn committed(&self) -> Position {
        match self.process().is_this() {
            true => self.connection.0.told.committed(),
            false => Position::ZERO,
        }
    }

    fn read(&self, get: &Get<'_>) -> Result<Got> {
        if let Some(known) = self.peek(get)? {
            return Ok(known);
        }
        let link = &self.connection.0;
        let forgotten = link.told.forgotten();
        let got = wait(link, link.read(get))?;
        match &got {
            Got::Branch(Some(branch)) => link.told.keep_since(forgotten, branch),
            Got::Branches(list) => {
                list.iter().for_each(|(branch, _)| link.told.keep_since(forgotten, branch))
            }
            _ => {}
        }
        Ok(got)
    }

    fn peek(&self, get: &Get<'_>) -> Result<Option<Got>> {
        self.process().check()?;
        Ok(match get {
            Get::Branch(place) => {
                self.connection.0.told.branch(place).map(|branch| Got::Branch(Some(branch)))
            }
            // Where a branch ends, other processes decide.
            _ => None,
        })
    }
}
