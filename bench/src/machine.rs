//! What the figures were measured on.

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
const PAGE: [u8; 4096] = [0x5a; 4096];

/// In words; what can't be found out is left out.
pub struct Machine {
    cores: usize,
    cpu: String,
    system: String,
    file_system: String,
    /// Runnable threads before the run, mean of the last minute.
    load: String,
}

impl Machine {
    /// `folder` is where the data will lie.
    pub fn of(folder: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(['=', ':']));
            value.map_or("?", |(_, value)| value.trim().trim_matches('"')).to_owned()
        };
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: value(&read("/proc/cpuinfo"), "model name"),
            system: value(&read("/etc/os-release"), "PRETTY_NAME"),
            file_system: file_system(&read("/proc/mounts"), folder),
            load: load.split(' ').next().unwrap_or("?").to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, system, file_system, load } = self;
        write!(f, "{cores} cores ({cpu}), {system}, data on {file_system}, load {load} before")
    }
}

/// The mount that holds `folder`: the longest that it begins with.
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

/// A file that is written and flushed as a database does at a commit.
pub struct Disk {
    file: File,
    pub flushes: Samples,
}

impl Disk {
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut file = File::create(folder.join("fsync")).context("can't write where data lies")?;
        file.write_all(&PAGE)?;
        file.sync_all()?;
        Ok(Self { file, flushes: Samples::default() })
    }

    /// Writes 4 KiB and waits until they are on the disk.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        self.file.rewind()?;
        self.file.write_all(&PAGE)?;
        self.file.sync_data()?;
        self.flushes.add(start.elapsed());
        Ok(())
    }

    /// 200 flushes in a row.
    pub fn measure(folder: &Path) -> anyhow::Result<Samples> {
        let mut disk = Self::new(folder)?;
        for _ in 0..200 {
            disk.flush()?;
        }
        Ok(disk.flushes)
    }
}
