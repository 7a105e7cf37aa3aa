//! What the disk itself costs: a page written at the end of a preallocated file, then `fdatasync`.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use super::stats::Samples;

const PAGE_BYTES: usize = 4096;

/// Writes and syncs `count` pages one after another, as a log does, in `dir`.
pub fn fdatasync(dir: &Path, count: usize) -> io::Result<Samples> {
    let path = dir.join("floor.tmp");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    // A log that is reused, as SQLite's write-ahead log is after its first checkpoint, does not grow.
    file.write_all(&vec![0u8; PAGE_BYTES * count])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let page = [0x5au8; PAGE_BYTES];
    let mut samples = Samples::default();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        samples.push(start.elapsed());
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(samples)
}
