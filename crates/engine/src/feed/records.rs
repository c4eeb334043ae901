//! Reads the records of a text one by one, each with the line in which it starts, and
//! decides for each damaged record which quotes it means.

use super::{
    Delimiter, ReadError,
    cell_text::is_blank,
    quoting::{QuoteRule, Split, Splitter},
};
use csv::StringRecord;
use memchr::{memchr_iter, memchr2_iter, memmem};

/// Maximum number of bytes that are read in vain for each byte of the text, while the end of
/// damaged cells is searched. After that, fewer readings are tried, so that the time is linear.
const MAX_WASTE_FACTOR: usize = 8;

/// Place in a text at which a record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Offset in bytes.
    pub offset: usize,
    /// Line, from 1, as an editor shows it.
    pub line: u64,
}

impl Position {
    pub(super) const START: Self = Self { offset: 0, line: 1 };
}

/// Reads records, and skips blank ones.
///
/// A record is read as RFC 4180 says. If its quotes are damaged, it is read again by the
/// other rules of [`QuoteRule`], and the first reading that gives the record the width of
/// the header counts:
///
/// 1. with single quotes as text, within one line, or over several lines if each of them
///    follows a backslash;
/// 2. with all quotes of the damaged cell as text;
/// 3. with single quotes as text, over several lines.
///
/// A record that RFC 4180 can read, but not in the width of the header, is also read with
/// the quotes that follow a backslash as text. `"C:\"` therefore ends with its backslash
/// wherever the row has its width that way.
///
/// If no reading fits, the record ends at the end of its line, so that it takes no other
/// record with it, and [`faulty_cell`](Self::faulty_cell) tells where its quotes are wrong.
pub(super) struct RecordReader<'t> {
    text: &'t str,
    delimiter: Delimiter,
    next: Position,
    /// Number of columns, once the header is known.
    width: Option<usize>,
    /// The record that was read last.
    pub(super) record: StringRecord,
    /// Line in which [`record`](Self::record) starts, from 1.
    pub(super) line: u64,
    /// Cell of [`record`](Self::record) whose quotes are not closed, or not doubled.
    pub(super) faulty_cell: Option<usize>,
    buffer: String,
    /// Number of bytes that may still be read in vain.
    waste_left: usize,
}

impl<'t> RecordReader<'t> {
    pub(super) fn new(text: &'t str, delimiter: Delimiter, start: Position) -> Self {
        Self {
            text,
            delimiter,
            next: start,
            width: None,
            record: StringRecord::new(),
            line: start.line,
            faulty_cell: None,
            buffer: String::new(),
            waste_left: text.len().saturating_mul(MAX_WASTE_FACTOR),
        }
    }

    pub(super) fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    /// Returns a number of records that the text doesn't exceed: that of its lines.
    pub(super) fn max_records(&self) -> usize {
        // Counting one byte is much faster than finding one of two.
        let count = |byte| memchr_iter(byte, self.text.as_bytes()).count();
        1 + count(b'\r') + count(b'\n')
    }

    /// Returns where the next record starts.
    pub(super) fn position(&self) -> Position {
        self.next
    }

    /// Continues at a position, with records of the header's width.
    pub(super) fn resume(&mut self, position: Position, width: usize) {
        self.next = position;
        self.width = Some(width);
    }

    /// Reads the next record with a cell that is not blank, and returns whether there was
    /// one.
    pub(super) fn read_next(&mut self) -> Result<bool, ReadError> {
        loop {
            // Marks occur inside a file when files are joined.
            let rest = self.text.get(self.next.offset..).unwrap_or_default();
            self.next.offset += rest.len() - rest.trim_start_matches('\u{feff}').len();
            let start = self.next;
            if start.offset >= self.text.len() {
                return Ok(false);
            }
            let split = self.split_record(start)?;
            let bytes = &self.text.as_bytes()[start.offset..split.end];
            self.next = Position { offset: split.end, line: start.line + count_line_ends(bytes) };
            self.line = start.line;
            self.faulty_cell = split.faulty_cell;
            if split.is_too_wide {
                return Err(ReadError::TooManyCells { line: start.line });
            }
            if !self.record.iter().all(is_blank) {
                return Ok(true);
            }
        }
    }

    fn split_record(&mut self, start: Position) -> Result<Split, ReadError> {
        let doubled = self.split_by(QuoteRule::Doubled, start);
        if doubled.is_too_wide || doubled.faulty_cell.is_none() && self.has_header_width() {
            return Ok(doubled);
        }
        let accepted = match doubled.faulty_cell {
            None => self.split_with_backslashes(start, doubled),
            Some(cell) => self.split_damaged(start, cell),
        };
        let waste = doubled.end.saturating_sub(accepted.end);
        self.waste_left = self
            .waste_left
            .checked_sub(waste)
            .ok_or(ReadError::UnclosedQuote { line: start.line, column: None })?;
        Ok(accepted)
    }

    /// Splits a record that is well-formed but doesn't have the width of the header.
    fn split_with_backslashes(&mut self, start: Position, doubled: Split) -> Split {
        let bytes = &self.text.as_bytes()[start.offset..doubled.end];
        if self.waste_left == 0 || memmem::find(bytes, b"\\\"").is_none() {
            return doubled;
        }
        let single = self.split_by(QuoteRule::Single, start);
        if self.is_accepted(single) && !single.has_single_quotes {
            return single;
        }
        let waste = single.end.saturating_sub(start.offset);
        self.waste_left = self.waste_left.saturating_sub(waste);
        self.split_by(QuoteRule::Doubled, start)
    }

    /// Splits a record of which RFC 4180 says that this cell is damaged.
    fn split_damaged(&mut self, start: Position, cell: usize) -> Split {
        let single = match self.waste_left {
            0 => Split { faulty_cell: Some(cell), ..Split::default() },
            _ => self.split_by(QuoteRule::Single, start),
        };
        let is_single_accepted = self.is_accepted(single);
        if is_single_accepted && !single.has_single_quotes_over_lines {
            return single;
        }
        let literal = self.split_by(QuoteRule::Literal, start);
        self.waste_left = self.waste_left.saturating_sub(single.end.saturating_sub(literal.end));
        if self.is_accepted(literal) {
            return literal;
        }
        if is_single_accepted {
            return self.split_by(QuoteRule::Single, start);
        }
        Split { faulty_cell: literal.faulty_cell.or(Some(cell)), ..literal }
    }

    fn split_by(&mut self, rule: QuoteRule, start: Position) -> Split {
        let splitter = Splitter { text: self.text, delimiter: self.delimiter.as_byte(), rule };
        splitter.split(start.offset, &mut self.record, &mut self.buffer)
    }

    fn is_accepted(&self, split: Split) -> bool {
        split.faulty_cell.is_none() && !split.is_too_wide && self.has_header_width()
    }

    /// Returns whether each column has its cell, and all further cells are blank.
    fn has_header_width(&self) -> bool {
        self.width
            .is_none_or(|width| self.record.len() >= width && are_blank_from(&self.record, width))
    }
}

/// Returns whether all cells from an index on are blank.
pub(super) fn are_blank_from(record: &StringRecord, index: usize) -> bool {
    (index..record.len()).filter_map(|index| record.get(index)).all(is_blank)
}

/// Counts the lines that end within `bytes`: at `\n`, `\r`, or both together.
pub(super) fn count_line_ends(bytes: &[u8]) -> u64 {
    let ends = memchr2_iter(b'\r', b'\n', bytes);
    let first_bytes = ends.filter(|&at| bytes[at] == b'\r' || bytes[..at].last() != Some(&b'\r'));
    first_bytes.count() as u64
}
