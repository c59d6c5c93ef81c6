//! The settings file that is used when none was named: `retold.toml` in this folder, or in the nearest one above.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::event::Invalid;
use crate::limits::MAX_SETTINGS_FILE_BYTES;

/// The file's name.
pub(super) const FILE: &str = "retold.toml";

/// The nearest settings file from a folder upward.
///
/// # Errors
/// [`Error::Invalid`] when it belongs to another user: anyone who can write to a folder above could configure this program.
pub(super) fn upward(from: &Path) -> Result<Option<PathBuf>> {
    for folder in from.ancestors() {
        let path = folder.join(FILE);
        let Ok(meta) = fs::metadata(&path) else { continue };
        if !meta.is_file() {
            continue;
        }
        if !is_trusted(&meta) {
            let reason = format!(
                "in {} belongs to another user, so it is not used automatically; to use it, name it with --config-file or \
                 RETOLD_CONFIG",
                path.display()
            );
            return Err(Invalid::new("configuration", reason).into());
        }
        return Ok(Some(path));
    }
    Ok(None)
}

#[cfg(unix)]
fn is_trusted(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid();
    own.is_root() || meta.uid() == own.as_raw() || meta.uid() == 0
}

#[cfg(not(unix))]
fn is_trusted(_: &Metadata) -> bool {
    true
}

/// The file's text.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] when it is not UTF-8; [`Error::TooLarge`]; [`Error::Storage`].
pub(super) fn read(path: &Path) -> Result<String> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Error::not_found("file", path.display()),
        _ => Error::storage(format!("{} cannot be read: {e}", path.display())),
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_SETTINGS_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SETTINGS_FILE_BYTES {
        let what = path.display().to_string();
        return Err(Error::TooLarge { what, size: bytes.len() as u64, limit: MAX_SETTINGS_FILE_BYTES });
    }
    let invalid = |_| Invalid::new("configuration", format!("in {} is not UTF-8", path.display()));
    String::from_utf8(bytes).map_err(|e| invalid(e).into())
}
