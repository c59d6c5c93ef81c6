//! The tables of a closed store, opened without the store. The tests of the program use this file too.

/// The tables of a closed store, copied out of its file: what redb alone can open.
pub(crate) struct Tables {
    pub(crate) db: redb::Database,
    file: tempfile::NamedTempFile,
    begin: usize,
}

impl Tables {
    pub(crate) fn of(path: &std::path::Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let begin = match bytes.starts_with(b"redb") {
            true => 0,
            false => u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize,
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes[begin..]).unwrap();
        Self { db: redb::Database::open(file.path()).unwrap(), file, begin }
    }

    /// Puts them back.
    pub(crate) fn put(self, path: &std::path::Path) {
        drop(self.db);
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(self.begin);
        bytes.extend(std::fs::read(self.file.path()).unwrap());
        std::fs::write(path, bytes).unwrap();
    }
}
