//! Imported files, exported to a folder: existing files are not overwritten unless asked, and nothing is written outside it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::app::App;
use super::draft::{Draft, is_same};
use super::failure::{Failure, Outcome};
use super::view::count;
use retold::agents::interop::SourceFile;
use retold::limits::{MAX_FILE_NAME_BYTES, SHORT_FILE_NAME_BYTES};
use retold::wire::Exit;

/// A file and its path in the folder.
struct Planned<'a> {
    file: &'a SourceFile,
    name: PathBuf,
}

/// Writes all of them, or none if one of them may not be written. If writing one fails, that is reported, and the
/// others continue.
pub(super) fn write(folder: &Path, files: &[SourceFile], force: bool, app: &mut App) -> Outcome {
    let names = names(files.iter().map(|file| file.name.as_str()));
    let planned: Vec<Planned<'_>> =
        files.iter().zip(names).map(|(file, name)| Planned { file, name }).collect();
    for Planned { name, .. } in &planned {
        check(folder, name, force, app)?;
    }
    let mut failed = false;
    for Planned { file, name } in planned {
        let written = put(folder, &name, file, force).or_else(|e| match e {
            // Some file systems allow shorter names than most.
            Failure::Io { source, .. } if source.kind() == io::ErrorKind::InvalidFilename => {
                let short = shortened(&file.name, SHORT_FILE_NAME_BYTES);
                check(folder, &short, force, app).and_then(|()| put(folder, &short, file, force))
            }
            other => Err(other),
        });
        match written {
            Ok(path) => {
                app.out.note(format!("{}: {}", path.display(), count(file.records as u64, "record")));
                if path != folder.join(&file.name) {
                    app.out.say(format!("{} is written as {}", file.name, path.display()));
                }
            }
            Err(failure) => {
                failed = true;
                app.out.failure(&failure);
            }
        }
    }
    if failed { Err(Failure::Reported(Exit::Failed)) } else { Ok(()) }
}

/// A name for each: short enough, and unique.
fn names<'a>(wanted: impl Iterator<Item = &'a str>) -> Vec<PathBuf> {
    let mut taken = HashSet::new();
    let mut names = Vec::new();
    for whole in wanted {
        let mut name = shortened(whole, MAX_FILE_NAME_BYTES);
        let mut n = 1;
        while !taken.insert(name.clone()) {
            n += 1;
            name = shortened(&format!("{whole}.{n}"), MAX_FILE_NAME_BYTES);
        }
        names.push(name);
    }
    names
}

/// The name with each part shortened to this many bytes. A shortened part ends with a hash of the whole.
fn shortened(name: &str, most: usize) -> PathBuf {
    let part = |part: &str| {
        if part.len() <= most {
            return part.to_owned();
        }
        let end = format!("~{:016x}", xxh3_64(part.as_bytes()));
        let kept = part.floor_char_boundary(most.saturating_sub(end.len()));
        part.get(..kept).unwrap_or_default().to_owned() + &end
    };
    name.split('/').map(part).collect()
}

/// Refuses to overwrite files, or to write outside the folder.
fn check(folder: &Path, name: &Path, force: bool, app: &App) -> Outcome {
    let path = folder.join(name);
    for above in name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        let above = folder.join(above);
        match fs::symlink_metadata(&above) {
            Ok(meta) if !meta.is_dir() => {
                let text =
                    format!("{} is not a folder, so {} cannot be written", above.display(), path.display());
                return Err(Failure::Usage(format!("{text}; give another --out")));
            }
            _ => {}
        }
    }
    if is_same(&path, &app.store) {
        return Err(Failure::Usage(format!("{} is the store itself", path.display())));
    }
    match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_dir() => {
            Err(Failure::Usage(format!("{} is a folder; give another --out", path.display())))
        }
        Ok(_) if !force => {
            let text = format!("{} already exists, and nothing was written", path.display());
            Err(Failure::Usage(format!("{text}; --force overwrites it")))
        }
        _ => Ok(()),
    }
}

fn put(folder: &Path, name: &Path, file: &SourceFile, force: bool) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Failure::file(folder.display(), e))?;
    }
    let mut draft = Draft::new(&path)?;
    draft.write(&file.bytes)?;
    if force { draft.finish() } else { draft.finish_new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_and_differ() {
        let long = "é".repeat(200);
        let (a, b) = (format!("{long}a"), format!("{long}b"));
        let both = format!("{a}/{b}");
        let names = names([&*a, &*b, "c", &*both, "c"].into_iter());
        let parts = names.iter().flat_map(|name| name.iter());
        assert!(parts.clone().all(|part| part.len() <= MAX_FILE_NAME_BYTES));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 5);
        assert_eq!((names[2].to_str(), names[4].to_str()), (Some("c"), Some("c.2")));
    }
}
