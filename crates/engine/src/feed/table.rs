//! Splits text into a header and rows, each with the line in which it starts.

use super::{
    Delimiter, ReadError,
    cell_text::trim_and_unescape,
    header::Header,
    row::Row,
    scanner::{count_line_ends, scan},
};
use csv::StringRecord;

/// Maximum number of cells of a row; exports have about a hundred.
const MAX_CELLS: usize = 1_000;

pub(super) struct Table<'t> {
    records: RecordReader<'t>,
    header: Header,
    delimiter: Delimiter,
}

impl<'t> Table<'t> {
    pub(super) fn open(text: &'t str) -> Result<Self, ReadError> {
        let delimiter = detect_delimiter(text.as_bytes());
        let scan = scan(text.as_bytes(), delimiter.as_byte());
        if let Some(position) = scan.unclosed_quote {
            let column = Header::column_name_at(text, delimiter, position);
            return Err(ReadError::UnclosedQuote { line: position.line, column });
        }
        if scan.widest_row.0 > MAX_CELLS {
            return Err(ReadError::TooManyCells { line: scan.widest_row.1 });
        }
        let mut rows = RecordReader::new(text, delimiter);
        if !rows.read_next()? {
            return Err(ReadError::Empty);
        }
        if rows.record.as_slice().contains('\0') {
            return Err(ReadError::Nul { line: rows.line });
        }
        let header = Header::new(&rows.record, rows.line);
        Ok(Self { records: rows, header, delimiter })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    /// Returns the next row that is not blank.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, ReadError> {
        Ok(self.records.read_next()?.then_some(Row {
            line: self.records.line,
            cells: &self.records.record,
            header: &self.header,
            delimiter: self.delimiter,
        }))
    }
}

/// Reads records of the csv crate, and counts lines as an editor does.
pub(super) struct RecordReader<'t> {
    text: &'t [u8],
    reader: csv::Reader<&'t [u8]>,
    pub(super) record: StringRecord,
    /// Line in which [`record`](Self::record) starts, from 1.
    pub(super) line: u64,
    /// Offset of the byte at which it starts.
    record_start: usize,
}

impl<'t> RecordReader<'t> {
    pub(super) fn new(text: &'t str, delimiter: Delimiter) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter.as_byte())
            .from_reader(text.as_bytes());
        Self {
            text: text.as_bytes(),
            reader,
            record: StringRecord::new(),
            line: 1,
            record_start: 0,
        }
    }

    /// Reads the next row with a cell that is not blank, and returns whether there was one.
    pub(super) fn read_next(&mut self) -> Result<bool, ReadError> {
        loop {
            let read = self.reader.read_record(&mut self.record);
            let position = self.record.position().map_or(0, csv::Position::byte);
            match read {
                Ok(false) => return Ok(false),
                Ok(true) => self.update_line(usize::try_from(position).unwrap_or(usize::MAX)),
                Err(error) => {
                    let cause = error.to_string();
                    return Err(ReadError::Malformed { line: self.line, cause });
                }
            }
            if self.record.iter().any(|cell| !trim_and_unescape(cell).is_empty()) {
                return Ok(true);
            }
        }
    }

    /// Updates the line. A record's position is before the line ends that csv skips.
    fn update_line(&mut self, position: usize) {
        let skipped = self.text.iter().skip(position).take_while(|&&byte| is_line_end(byte));
        let start = position.saturating_add(skipped.count());
        self.line += count_line_ends(self.text.get(self.record_start..start).unwrap_or_default());
        self.record_start = start;
    }
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\r' || byte == b'\n'
}

/// Returns the most frequent delimiter outside quotes in the header line; a comma if there
/// is none.
pub(super) fn detect_delimiter(text: &[u8]) -> Delimiter {
    let mut counts = [(Delimiter::Tab, 0), (Delimiter::Semicolon, 0), (Delimiter::Comma, 0)];
    let mut quoted = false;
    let header = text.iter().skip_while(|byte| byte.is_ascii_whitespace());
    for &byte in header {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'\r' | b'\n' => break,
            _ => counts.iter_mut().for_each(|(delimiter, count)| {
                *count += u32::from(byte == delimiter.as_byte());
            }),
        }
    }
    let most = counts.iter().max_by_key(|(_, count)| count);
    most.filter(|(_, count)| *count > 0).map_or(Delimiter::Comma, |(delimiter, _)| *delimiter)
}
