//! Files with secrets: tokens, and the key of a certificate.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a file that only those it is for may read.
pub(crate) fn read(path: &Path, most: u64) -> Result<String, String> {
    // Looked at before it is opened: to open a pipe waits for who writes into it.
    is_file(&std::fs::metadata(path).map_err(|e| e.to_string())?)?;
    let file = File::open(path).map_err(|e| e.to_string())?;
    let about = file.metadata().map_err(|e| e.to_string())?;
    is_file(&about)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = about.permissions().mode();
        if mode & 0o007 != 0 || mode & 0o020 != 0 {
            return Err(format!(
                "it has secrets, and its mode {:o} lets others read or change it: chmod 600 {}",
                mode & 0o777,
                path.display()
            ));
        }
    }
    let mut text = String::new();
    let read = file.take(most.saturating_add(1)).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if read as u64 > most {
        return Err(format!("it is larger than {most} bytes"));
    }
    Ok(text)
}

fn is_file(about: &std::fs::Metadata) -> Result<(), String> {
    if about.is_file() { Ok(()) } else { Err("it is not a file".to_owned()) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_may_read_or_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "secret").unwrap();
        for (mode, is_taken) in
            [(0o600, true), (0o640, true), (0o400, true), (0o604, false), (0o620, false), (0o602, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let told = read(&path, 6);
            assert_eq!(told.is_ok(), is_taken, "{mode:o}: {told:?}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read(&path, 5).unwrap_err().contains("larger"));
    }

    #[test]
    fn what_is_not_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), folder.path()] {
            assert!(read(path, 6).unwrap_err().contains("not a file"), "{}", path.display());
        }
    }
}
