//! The command line.

use std::path::PathBuf;

use crate::payload::Mix;
use crate::work::Job;
use crate::{peers, work};

pub const USAGE: &str = "\
usage: retold-peers all    [options]   every work on every peer, in turns; prints the table
       retold-peers run    --work W2 --peer retold --dir DIR [options]   one work on one peer, here and now
       retold-peers processes [options]   one store and several processes, beside one process and beside SQLite
       retold-peers search [options]   a million texts indexed and searched, beside tantivy
       retold-peers growth [options]   the cost of appending, opening and reading against the size of the store

options: --work W1,W2      only this work
         --peer retold,file  only these peers
         --rounds N        how often each is done (3)
         --scale 0.1       fewer events and sessions, for a quick look
         --payload real    sizes as in real sessions instead of 256 bytes
         --dir DIR         where the stores lie (a folder beside this program, which is deleted)
         --patience N      how often a run is done again when others used the machine during it (3)
         --json            one object a line instead of the table
         --out FILE        growth: where the plot goes (growth.svg)
         --ten-million     growth: up to ten million events";

pub struct Options {
    pub works: Vec<String>,
    pub peers: Vec<String>,
    pub rounds: usize,
    pub patience: usize,
    pub scale: f64,
    pub mix: Mix,
    pub dir: Option<PathBuf>,
    pub json: bool,
    pub out: PathBuf,
    pub ten_million: bool,
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let mut options = Self {
            works: all(&work::NAMES),
            peers: all(&peers::NAMES),
            rounds: 3,
            patience: 3,
            scale: 1.0,
            mix: Mix::Small,
            dir: None,
            json: false,
            out: "growth.svg".into(),
            ten_million: false,
        };
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--json" => options.json = true,
                "--ten-million" => options.ten_million = true,
                _ => {
                    let value = arguments.next().ok_or(format!("{name} needs a value"))?;
                    options.set(&name, &value)?;
                }
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let list = || value.split(',').map(str::to_owned).collect();
        let number = |_| format!("{value} is no number for {name}");
        match name {
            "--work" => self.works = list(),
            "--peer" => self.peers = known(list(), &peers::NAMES)?,
            "--rounds" => self.rounds = value.parse().map_err(number)?,
            "--patience" => self.patience = value.parse().map_err(number)?,
            "--scale" => {
                self.scale = value.parse().map_err(|_| format!("{value} is no number for {name}"))?
            }
            "--dir" => self.dir = Some(value.into()),
            "--out" => self.out = value.into(),
            "--payload" => {
                self.mix = match value {
                    "small" => Mix::Small,
                    "real" => Mix::Real,
                    _ => return Err("--payload is small or real".into()),
                }
            }
            _ => return Err(format!("{name} is no option")),
        }
        Ok(())
    }

    /// The one job that `run` does.
    pub fn job(&self) -> Job {
        let first = |list: &[String]| list.first().cloned().unwrap_or_default();
        let dir = self.dir.clone().unwrap_or_else(|| "peers-store".into());
        Job { work: first(&self.works), peer: first(&self.peers), dir, scale: self.scale, mix: self.mix }
    }
}

fn known(list: Vec<String>, names: &[&str]) -> Result<Vec<String>, String> {
    match list.iter().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => Err(format!("no peer is called {unknown}; there are {}", names.join(" "))),
        None => Ok(list),
    }
}
