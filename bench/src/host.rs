//! The host on which the figures were measured.

use crate::report::Samples;
use anyhow::Context;
use std::{
    fmt,
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
    time::Instant,
};

/// A page of the database.
const DATABASE_PAGE: [u8; 4096] = [0x5a; 4096];

/// Description of the host; what can't be found out is `?`.
pub struct HostInfo {
    cores: usize,
    cpu_model: String,
    os: String,
    file_system: String,
    /// Runnable threads before the run, mean of the last minute.
    load_average: String,
}

impl HostInfo {
    /// Reads the host's description; `folder` will contain the data.
    pub fn collect(folder: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(['=', ':']));
            value.map_or("?", |(_, value)| value.trim().trim_matches('"')).to_owned()
        };
        let load_average = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu_model: value(&read("/proc/cpuinfo"), "model name"),
            os: value(&read("/etc/os-release"), "PRETTY_NAME"),
            file_system: file_system(&read("/proc/mounts"), folder),
            load_average: load_average.split(' ').next().unwrap_or("?").to_owned(),
        }
    }
}

impl fmt::Display for HostInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu_model, os, file_system, load_average } = self;
        write!(
            f,
            "{cores} cores ({cpu_model}), {os}, data on {file_system}, load {load_average} before"
        )
    }
}

/// Returns the file system of `folder`: the mount with the longest matching path.
fn file_system(mounts: &str, folder: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, on, kind) = (words.next()?, words.next()?, words.next()?);
            folder.starts_with(on).then(|| (on.len(), format!("{kind} ({device})")))
        })
        .max_by_key(|(length, _)| *length)
        .map_or_else(|| "?".to_owned(), |(_, name)| name)
}

/// A file that is written and flushed like a database at a commit.
pub struct DiskProbe {
    file: File,
    pub flush_times: Samples,
}

impl DiskProbe {
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut file = File::create(folder.join("fsync")).context("can't write where data lies")?;
        file.write_all(&DATABASE_PAGE)?;
        file.sync_all()?;
        Ok(Self { file, flush_times: Samples::default() })
    }

    /// Writes 4 KiB and waits until they are on the disk.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        self.file.rewind()?;
        self.file.write_all(&DATABASE_PAGE)?;
        self.file.sync_data()?;
        self.flush_times.add(start.elapsed());
        Ok(())
    }

    /// Measures 200 flushes in a row.
    pub fn measure_flushes(folder: &Path) -> anyhow::Result<Samples> {
        let mut disk = Self::new(folder)?;
        for _ in 0..200 {
            disk.flush()?;
        }
        Ok(disk.flush_times)
    }
}
