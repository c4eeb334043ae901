//! From text to a header and rows, each with the line it starts in.

use super::{
    Delimiter, Unreadable,
    cell::clean,
    header::Header,
    row::Row,
    scan::{line_ends, scan},
};
use csv::StringRecord;

/// The most cells that a row may have; exports have about a hundred.
const MAX_CELLS: usize = 1_000;

pub(super) struct Table<'t> {
    rows: Rows<'t>,
    header: Header,
    delimiter: Delimiter,
}

impl<'t> Table<'t> {
    pub(super) fn open(text: &'t str) -> Result<Self, Unreadable> {
        let delimiter = detect_delimiter(text.as_bytes());
        let scan = scan(text.as_bytes(), delimiter.byte());
        if let Some(place) = scan.open_quote {
            let column = Header::column_at(text, delimiter, place);
            return Err(Unreadable::UnclosedQuote { line: place.line, column });
        }
        if scan.widest.0 > MAX_CELLS {
            return Err(Unreadable::TooManyCells { line: scan.widest.1 });
        }
        let mut rows = Rows::new(text, delimiter);
        if !rows.advance()? {
            return Err(Unreadable::Empty);
        }
        if rows.record.as_slice().contains('\0') {
            return Err(Unreadable::Nul { line: rows.line });
        }
        let header = Header::new(&rows.record, rows.line);
        Ok(Self { rows, header, delimiter })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    /// The next row that is not blank.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, Unreadable> {
        Ok(self.rows.advance()?.then_some(Row {
            line: self.rows.line,
            cells: &self.rows.record,
            header: &self.header,
            delimiter: self.delimiter,
        }))
    }
}

/// The csv crate's records, with lines as an editor counts them.
pub(super) struct Rows<'t> {
    text: &'t [u8],
    reader: csv::Reader<&'t [u8]>,
    pub(super) record: StringRecord,
    /// The line in which [`record`](Self::record) starts, from 1.
    pub(super) line: u64,
    /// The byte at which it starts.
    start: usize,
}

impl<'t> Rows<'t> {
    pub(super) fn new(text: &'t str, delimiter: Delimiter) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter.byte())
            .from_reader(text.as_bytes());
        Self { text: text.as_bytes(), reader, record: StringRecord::new(), line: 1, start: 0 }
    }

    /// Reads on to the next row with a cell that is not blank, and tells
    /// whether there was one.
    pub(super) fn advance(&mut self) -> Result<bool, Unreadable> {
        loop {
            let read = self.reader.read_record(&mut self.record);
            let position = self.record.position().map_or(0, csv::Position::byte);
            match read {
                Ok(false) => return Ok(false),
                Ok(true) => self.move_to(usize::try_from(position).unwrap_or(usize::MAX)),
                Err(error) => {
                    let cause = error.to_string();
                    return Err(Unreadable::Malformed { line: self.line, cause });
                }
            }
            if self.record.iter().any(|cell| !clean(cell).is_empty()) {
                return Ok(true);
            }
        }
    }

    /// A record's position stands before the line ends that csv skips.
    fn move_to(&mut self, position: usize) {
        let skipped = self.text.iter().skip(position).take_while(|&&byte| is_line_end(byte));
        let start = position.saturating_add(skipped.count());
        self.line += line_ends(self.text.get(self.start..start).unwrap_or_default());
        self.start = start;
    }
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\r' || byte == b'\n'
}

/// The delimiter that the header line has most of outside quotes; a comma when
/// it has none.
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
                *count += u32::from(byte == delimiter.byte());
            }),
        }
    }
    let most = counts.iter().max_by_key(|(_, count)| count);
    most.filter(|(_, count)| *count > 0).map_or(Delimiter::Comma, |(delimiter, _)| *delimiter)
}
