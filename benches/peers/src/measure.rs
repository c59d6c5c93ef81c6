//! What a process and a folder can say of themselves.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The most memory that this process had at once, in bytes.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[derive(Clone, Copy, Default)]
pub struct Disk {
    /// Blocks that the file system gave.
    pub allocated: u64,
    /// Length of the files.
    pub apparent: u64,
}

pub fn disk(dir: &Path) -> Disk {
    let mut disk = Disk::default();
    each_file(dir, &mut |path| {
        let meta = path.metadata().unwrap();
        disk.allocated += meta.blocks() * 512;
        disk.apparent += meta.len();
    });
    disk
}

/// Takes the files' pages out of the page cache.
pub fn drop_page_cache(dir: &Path) {
    each_file(dir, &mut |path| {
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    });
}

fn each_file(dir: &Path, act: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, act);
        } else {
            act(&path);
        }
    }
}

/// The value below which this part of the values lies.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or_default()
}

pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}
