//! Files that nobody else sees and that disappear with the process.

use std::fs::{File, OpenOptions};
use std::io;

use crate::event::EventId;

/// A new file in the temporary folder, for this user only, under a name that cannot be guessed. On Unix the name is
/// removed before this returns.
pub(crate) fn scratch() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!(".retold-{}", EventId::new()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    #[cfg(windows)]
    {
        const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, FILE_FLAG_DELETE_ON_CLOSE);
    }
    let file = options.open(&path)?;
    #[cfg(unix)]
    std::fs::remove_file(&path)?;
    Ok(file)
}
