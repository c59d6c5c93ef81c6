//! A folder whose files are recorded, and what a power cut leaves of it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use super::moment::{Change, Cut, Dice, Moment};
use crate::files::{FolderLog, Step};

/// Blocks of a file; those of zeros are left out.
const BLOCK: usize = 4_096;

/// Records what stores do to the files of a folder: what is written, how files get and lose names, and what is
/// synced. From that the folder is made as it is after a power cut at any moment.
///
/// It sees the stores that this process opens while it is there, their drafts, copies and backups; not the small files by which
/// processes find each other, and not what is done by others.
///
/// ```
/// use retold::testkit::{Cut, Folder};
/// use retold::{NewEvent, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # let after = tempfile::tempdir()?;
/// let folder = Folder::watch(dir.path())?;
/// let store = Store::open(dir.path().join("runs.redb"))?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// let acknowledged = folder.operations();
/// store.maintenance().compact()?;
///
/// // The power fails at the moment of the acknowledgement; nothing that was not synced has survived.
/// folder.moment(acknowledged).cut(&Cut::Nothing, &Cut::Nothing, after.path())?;
/// let store = Store::open(after.path().join("runs.redb"))?;
/// assert_eq!(store.head("run-7")?.get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Folder(Arc<FolderLog>);

impl Folder {
    /// Begins to record a folder. What lies in it counts as synced.
    ///
    /// # Errors
    /// Of reading it.
    pub fn watch(folder: &Path) -> io::Result<Self> {
        FolderLog::begin(folder).map(Self)
    }

    /// The number of operations recorded so far: the current moment's number.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.0.steps(<[Step]>::len)
    }

    /// The moments right after names were changed or something was synced, and those right before.
    #[must_use]
    pub fn boundaries(&self) -> Vec<usize> {
        let is_boundary = |step: &Step| !matches!(step, Step::Write { .. } | Step::SetLen { .. });
        self.0.steps(|steps| {
            let boundaries = steps.iter().enumerate().filter(|(_, step)| is_boundary(step));
            let mut moments: Vec<usize> = boundaries.flat_map(|(at, _)| [at, at + 1]).collect();
            moments.dedup();
            moments
        })
    }

    /// The operation before this moment, in words.
    #[must_use]
    pub fn last(&self, operations: usize) -> String {
        self.0.steps(|steps| {
            let last = operations.checked_sub(1).and_then(|at| steps.get(at));
            last.map_or_else(|| "nothing".to_owned(), |step| Words(step).to_string())
        })
    }

    /// The moment right after this many operations.
    #[must_use]
    pub fn moment(&self, operations: usize) -> FolderMoment {
        self.0.steps(|steps| {
            let mut moment = FolderMoment::default();
            steps.iter().take(operations).for_each(|step| moment.take(step));
            moment
        })
    }
}

struct Words<'a>(&'a Step);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Step::Named { name, file } => write!(f, "file {file} is named {}", name.display()),
            Step::Renamed { from, to, .. } => write!(f, "{} is renamed to {}", from.display(), to.display()),
            Step::Removed { name } => write!(f, "{} is removed", name.display()),
            Step::Write { file, offset, data } => {
                write!(f, "{} bytes are written to file {file} at {offset}", data.len())
            }
            Step::SetLen { file, len } => write!(f, "file {file} gets {len} bytes"),
            Step::Synced { file } => write!(f, "file {file} is synced"),
            Step::FolderSynced => write!(f, "the folder is synced"),
        }
    }
}

/// A change of names. It happens as a whole or not at all.
#[derive(Clone, Debug)]
enum NameChange {
    Gets(OsString, usize),
    Moves { from: OsString, to: OsString, file: usize },
    Goes(OsString),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<OsString, usize>) {
        match self {
            Self::Gets(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Moves { from, to, file } => {
                // What had the name before is not moved.
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Self::Goes(name) => drop(names.remove(name)),
        }
    }
}

/// A folder as of its last sync, each file as of its own, and what came after.
#[derive(Clone, Debug, Default)]
pub struct FolderMoment {
    synced: BTreeMap<OsString, usize>,
    pending: Vec<NameChange>,
    files: HashMap<usize, Moment>,
}

impl FolderMoment {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Named { name, file } => self.pending.push(NameChange::Gets(name.clone(), *file)),
            Step::Renamed { from, to, file } => {
                self.pending.push(NameChange::Moves { from: from.clone(), to: to.clone(), file: *file });
            }
            Step::Removed { name } => self.pending.push(NameChange::Goes(name.clone())),
            Step::FolderSynced => self.pending.drain(..).for_each(|change| change.apply(&mut self.synced)),
            Step::Write { file, offset, data } => {
                let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
                self.file(*file).pending.push(Change::Write { offset, data: data.clone() });
            }
            Step::SetLen { file, len } => {
                let len = usize::try_from(*len).unwrap_or(usize::MAX);
                self.file(*file).pending.push(Change::SetLen(len));
            }
            Step::Synced { file } => {
                let Moment { synced, pending } = self.file(*file);
                pending.drain(..).for_each(|change| change.apply(synced));
            }
        }
    }

    fn file(&mut self, number: usize) -> &mut Moment {
        self.files.entry(number).or_insert_with(|| Moment { synced: Vec::new(), pending: Vec::new() })
    }

    /// The number of changes of names that were not synced.
    #[must_use]
    pub fn unsynced_names(&self) -> usize {
        self.pending.len()
    }

    /// Makes the folder that is found when the power is back: in `to`, which is empty. `names` says which changes of names
    /// are there, each as a whole; `files` which writes, and the seed of that counts for each file apart.
    ///
    /// # Errors
    /// Of writing it.
    pub fn cut(&self, names: &Cut, files: &Cut, to: &Path) -> io::Result<()> {
        let mut made: HashMap<usize, &OsString> = HashMap::new();
        let there = self.names(names);
        for (name, number) in &there {
            if let Some(first) = made.get(number) {
                fs::hard_link(to.join(first), to.join(name))?;
                continue;
            }
            made.insert(*number, name);
            let bytes = self.files.get(number).map(|file| file.cut(&of_file(files, *number)));
            write_sparse(&to.join(name), &bytes.unwrap_or_default())?;
        }
        Ok(())
    }

    fn names(&self, cut: &Cut) -> BTreeMap<OsString, usize> {
        let mut names = self.synced.clone();
        let first = match cut {
            Cut::Nothing => 0,
            Cut::First { writes, .. } => *writes,
            Cut::Everything | Cut::Some { .. } | Cut::Torn { .. } => usize::MAX,
        };
        let mut dice = match cut {
            Cut::Some { seed } | Cut::Torn { seed, .. } => Some(Dice(*seed)),
            _ => None,
        };
        for change in self.pending.iter().take(first) {
            if dice.as_mut().is_none_or(Dice::coin) {
                change.apply(&mut names);
            }
        }
        names
    }
}

/// The files do not lose the same.
fn of_file(cut: &Cut, number: usize) -> Cut {
    let other = |seed: u64| seed.wrapping_add((number as u64).wrapping_mul(0x9E37_79B9));
    match *cut {
        Cut::Some { seed } => Cut::Some { seed: other(seed) },
        Cut::Torn { seed, sector } => Cut::Torn { seed: other(seed), sector },
        ref cut => cut.clone(),
    }
}

fn write_sparse(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.set_len(bytes.len() as u64)?;
    for (at, block) in bytes.chunks(BLOCK).enumerate() {
        if [0; BLOCK].get(..block.len()) != Some(block) {
            file.seek(SeekFrom::Start((at * BLOCK) as u64))?;
            file.write_all(block)?;
        }
    }
    Ok(())
}
