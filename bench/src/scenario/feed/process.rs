//! Reads one file, and measures the time and memory of this process.

use anyhow::Context;
use contract::feed::Format;
use engine::feed::{ReadOptions, read};
use flate2::read::MultiGzDecoder;
use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::Path,
    time::Instant,
};
use zip::ZipArchive;

/// How often a process reads its file. In the first reading, a virtual machine gets much of its
/// memory from its host, which takes longer than the reading itself: 85 MB took 16 to 187 ms, and
/// 8 ms the second time.
const READINGS: usize = 3;

/// What reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Reader {
    /// The reader of product files.
    Feed,
    /// The `csv` crate, which splits bytes into cells and nothing else.
    Csv,
}

/// What reading a file took, and what was in it.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct FileReading {
    /// Duration of the fastest reading.
    pub seconds: f64,
    /// Peak memory of the first reading, less the memory before.
    pub peak_bytes: u64,
    /// Number of bytes that the `csv` crate read: those of the file, unpacked.
    pub read_bytes: usize,
    pub format: Format,
    pub row_count: u64,
    pub product_count: u64,
    /// First finding that a correct file doesn't have.
    pub problem: Option<String>,
}

impl Reader {
    pub fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Csv => "csv",
        }
    }

    /// Reads the file at a path.
    pub fn read(self, path: &Path, delimiter: char) -> anyhow::Result<FileReading> {
        let before = memory("VmRSS:")?;
        let bytes = fs::read(path)?;
        let mut fastest: Option<FileReading> = None;
        let mut peak_bytes = None;
        for _ in 0..READINGS {
            let reading = match self {
                Self::Feed => read_products(&bytes)?,
                Self::Csv => split_cells(path, &bytes, u8::try_from(delimiter)?)?,
            };
            // Later readings may find memory that is not returned yet.
            let peak = memory("VmHWM:")?.saturating_sub(before);
            let peak_bytes = *peak_bytes.get_or_insert(peak);
            let reading = FileReading { peak_bytes, ..reading };
            let is_faster = fastest.as_ref().is_none_or(|other| reading.seconds < other.seconds);
            if is_faster {
                fastest = Some(reading);
            }
        }
        fastest.context("the file was not read")
    }
}

fn read_products(bytes: &[u8]) -> anyhow::Result<FileReading> {
    let start = Instant::now();
    let feed = read(bytes, &ReadOptions::default(), 0)?;
    let seconds = start.elapsed().as_secs_f64();
    let question = feed.questions.first().map(|question| question.text.clone());
    let bad_row = feed.bad_rows.first().map(|row| format!("line {}: {}", row.line, row.reason));
    Ok(FileReading {
        seconds,
        format: feed.format,
        row_count: feed.row_count,
        product_count: feed.products.len() as u64,
        problem: question.or(bad_row),
        ..FileReading::default()
    })
}

fn split_cells(path: &Path, bytes: &[u8], delimiter: u8) -> anyhow::Result<FileReading> {
    let start = Instant::now();
    let read_bytes = match bytes.get(..2) {
        Some(b"\x1F\x8B") => split(MultiGzDecoder::new(bytes), delimiter)?,
        Some(b"PK") => {
            let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
            let mut read_bytes = 0;
            for index in 0..archive.len() {
                read_bytes += split(archive.by_index(index)?, delimiter)?;
            }
            read_bytes
        }
        _ => split(bytes, delimiter)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    Ok(FileReading { seconds, read_bytes, ..FileReading::default() })
}

/// Splits bytes into cells, and returns how many bytes there were.
fn split(bytes: impl Read, delimiter: u8) -> anyhow::Result<usize> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        std::hint::black_box(&record);
    }
    Ok(usize::try_from(reader.position().byte())?)
}

/// Returns an entry of `/proc/self/status` in bytes; see proc(5).
fn memory(name: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such entry")?;
    Ok(kib.trim().parse::<u64>()? << 10)
}
