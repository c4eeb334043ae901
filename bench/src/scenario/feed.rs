//! Measures the time and memory that the largest files take to be read.
//!
//! Each file is read in processes of its own, so that the peak memory is that of this file. It
//! includes the bytes of the file and the products that are the result. A process reads its file
//! three times, of which the fastest counts: in the first, whose memory counts, a virtual machine
//! may have to get the memory from its host. The `csv` crate reads
//! the same bytes without understanding them: its speed is what is possible. Of a file that is
//! packed it reads what is unpacked.

mod files;
mod process;
mod text;
mod workbook;

use crate::{
    host::HostInfo,
    report::{Report, format_duration},
};
use anyhow::Context;
use process::{FileReading, Reader};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const MAX_TIME: Duration = Duration::from_secs(2);
/// Maximum memory, in bytes.
const MAX_MEMORY: u64 = 150_000_000;
const MAX_RATIO: f64 = 4.0;

#[derive(clap::Args)]
pub struct LargestFiles {
    /// Size of each file, in MiB.
    #[arg(long, default_value_t = 32)]
    mib: usize,
    /// Number of characters of a product's description. With 250, a file has nearly the 100,000
    /// rows that are the maximum.
    #[arg(long, default_value_t = 600)]
    description: usize,
    /// Number of processes that read each file. The fastest counts: other programs delayed it
    /// least.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Files to read, by name; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Reads this file and prints what that took; the other processes are called so.
    #[arg(long, hide = true)]
    read: Option<PathBuf>,
    #[arg(long, hide = true, default_value = "feed")]
    reader: Reader,
    #[arg(long, hide = true, default_value_t = ',')]
    delimiter: char,
}

impl LargestFiles {
    pub async fn run(self, _binary: &Path) -> anyhow::Result<Report> {
        if let Some(path) = &self.read {
            let reading = self.reader.read(path, self.delimiter)?;
            println!("{}", serde_json::to_string(&reading)?);
            std::process::exit(0);
        }
        let folder = tempfile::tempdir()?;
        let title = format!("feed: files of {} MiB; release build, one process each", self.mib);
        let mut report = Report::new(title, HostInfo::collect(folder.path()));
        for name in files::names() {
            if self.only.is_empty() || self.only.iter().any(|only| only == name) {
                self.measure(name, &folder.path().join("file"), &mut report)?;
            }
        }
        report.add_note(
            "MB are 1,000,000 bytes. Memory is the peak of the process that reads the file, less \
             what it had\nbefore: the file's bytes and all products are part of it.",
        );
        Ok(report)
    }

    fn measure(&self, name: &'static str, path: &Path, report: &mut Report) -> anyhow::Result<()> {
        let file = files::create(name, self.mib << 20, self.description)?;
        std::fs::write(path, &file.bytes)?;
        let (mut own, mut reference) = (Vec::new(), Vec::new());
        for _ in 0..self.runs.max(1) {
            own.push(read(path, Reader::Feed, file.delimiter)?);
            reference.push(read(path, Reader::Csv, file.delimiter)?);
        }
        let fastest = |readings: &[FileReading]| {
            let times = readings.iter().map(|reading| Duration::from_secs_f64(reading.seconds));
            times.min().unwrap_or_default()
        };
        let (time, least) = (fastest(&own), fastest(&reference));
        let memory = own.iter().map(|reading| reading.peak_bytes).max().unwrap_or_default();
        let unpacked = reference.first().map_or(0, |reading| reading.read_bytes) as u64;
        let ratio = time.as_secs_f64() / least.as_secs_f64();
        report.add_figure(
            format!(
                "{name}: {} rows, {:.1} MB",
                file.row_count,
                megabytes(file.bytes.len() as u64)
            ),
            format!(
                "{:>7.0} MB/s, csv crate {:>5.0} MB/s",
                megabytes(unpacked) / time.as_secs_f64(),
                megabytes(unpacked) / least.as_secs_f64()
            ),
            None,
        );
        report.add_figure(
            "  time",
            format!("{:>10}", format_duration(time)),
            Some(("≤ 2 s", time <= MAX_TIME)),
        );
        report.add_figure(
            "  peak memory",
            format!("{:>7.0} MB", megabytes(memory)),
            Some(("≤ 150 MB", memory <= MAX_MEMORY)),
        );
        report.add_figure("  ratio", format!("{ratio:>10.1}"), Some(("≤ 4", ratio <= MAX_RATIO)));
        let found = own.first().context("the file was not read")?;
        let is_right = found.format == file.format
            && found.row_count == file.row_count
            && found.product_count == file.product_count
            && found.problem.is_none();
        let detail = format!(
            "{}, {} rows, {} products{}",
            found.format.name(),
            found.row_count,
            found.product_count,
            found.problem.as_ref().map(|problem| format!("; {problem}")).unwrap_or_default()
        );
        report.add_check("  products are those that were written", is_right, detail);
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Reads a file in a process of its own.
fn read(path: &Path, reader: Reader, delimiter: u8) -> anyhow::Result<FileReading> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["feed", "--reader", reader.name(), "--delimiter"]);
    command.arg(char::from(delimiter).to_string()).arg("--read").arg(path);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
