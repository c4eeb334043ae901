//! Splits one record into cells. Three rules for quotes are known, because exporters break
//! RFC 4180 in different ways; [`records`](super::records) decides which one a record needs.

use csv::StringRecord;
use memchr::{memchr, memchr_iter, memchr2, memchr3};
use std::ops::Range;

/// Maximum number of cells of a record; exports have about a hundred.
pub(super) const MAX_CELLS: usize = 1_000;

/// Number of bytes at the beginning of a cell that are looked at one by one: most cells are
/// shorter, and end before a vectorised search for their end has begun.
const SHORT_CELL_BYTES: usize = 8;

/// Meaning of the quotes in a cell that begins with a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuoteRule {
    /// RFC 4180: a quote within the cell is written as two, and a single one ends the cell.
    Doubled,
    /// Quotes within the cell may also be single. PHP's `fputcsv` doesn't double a quote that
    /// follows a backslash, and careless exporters double none. A single quote ends the cell
    /// only in front of a delimiter or a line end, and not after a backslash. The backslash
    /// is part of the text, as `fgetcsv` reads it.
    /// Source: <https://www.php.net/manual/en/function.fputcsv.php>.
    Single,
    /// The quotes are part of the text, as in `"Big" mug`, unless the cell is quoted as
    /// [`Doubled`](Self::Doubled) requires.
    Literal,
}

/// Result of splitting a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// Offset after the record and its line end; after a fault, where splitting stopped.
    pub end: usize,
    /// First cell whose quotes don't follow the rule.
    pub faulty_cell: Option<usize>,
    /// Whether a quote that is neither doubled nor escaped was taken for text.
    pub has_single_quotes: bool,
    /// Whether such a quote is in a cell of several lines.
    pub has_single_quotes_over_lines: bool,
    /// Whether splitting stopped because there are more than [`MAX_CELLS`] cells.
    pub is_too_wide: bool,
}

/// Text that is split, and how.
#[derive(Clone, Copy)]
pub(super) struct Splitter<'t> {
    pub text: &'t str,
    pub delimiter: u8,
    pub rule: QuoteRule,
}

impl Splitter<'_> {
    /// Splits the record that starts at an offset into `record`. `buffer` is memory for
    /// cells that are not in the text as they are.
    pub(super) fn split(
        &self,
        start: usize,
        record: &mut StringRecord,
        buffer: &mut String,
    ) -> Split {
        record.clear();
        let bytes = self.text.as_bytes();
        let mut split = Split::default();
        let mut cell_start = start;
        loop {
            let cell_end = match self.quoted_cell(cell_start, buffer) {
                Quoted::No => self.push_plain(cell_start, record),
                Quoted::Yes(cell) => {
                    match cell.text {
                        Some(range) => record.push_field(&self.text[range]),
                        None => record.push_field(buffer),
                    }
                    split.has_single_quotes |= cell.has_single_quotes;
                    split.has_single_quotes_over_lines |=
                        cell.has_single_quotes && has_line_end(&bytes[cell_start..cell.end]);
                    cell.end
                }
                Quoted::Faulty { .. } if self.rule == QuoteRule::Literal => {
                    let end = self.push_plain(cell_start, record);
                    // An odd number is that of a quote that is never closed.
                    if memchr_iter(b'"', &bytes[cell_start..end]).count() % 2 == 1 {
                        split.faulty_cell.get_or_insert(record.len() - 1);
                    }
                    end
                }
                Quoted::Faulty { at } => {
                    return Split { end: at, faulty_cell: Some(record.len()), ..split };
                }
            };
            split.end = cell_end + 1;
            split.is_too_wide = record.len() > MAX_CELLS;
            match bytes.get(cell_end) {
                Some(&byte) if byte == self.delimiter && !split.is_too_wide => {
                    cell_start = cell_end + 1;
                }
                Some(b'\r') if bytes.get(cell_end + 1) == Some(&b'\n') => {
                    split.end = cell_end + 2;
                    return split;
                }
                Some(_) => return split,
                None => return Split { end: bytes.len(), ..split },
            }
        }
    }

    /// Adds a cell that is not quoted, and returns its end.
    fn push_plain(&self, start: usize, record: &mut StringRecord) -> usize {
        let rest = &self.text.as_bytes()[start..];
        let short = &rest[..rest.len().min(SHORT_CELL_BYTES)];
        let length = match short.iter().position(|&byte| self.is_cell_end(byte)) {
            Some(length) => length,
            None => {
                let long = &rest[short.len()..];
                let found = memchr3(self.delimiter, b'\r', b'\n', long);
                short.len() + found.unwrap_or(long.len())
            }
        };
        record.push_field(&self.text[start..start + length]);
        start + length
    }

    /// Reads a quoted cell. Blanks may surround the quotes: people write `"a", "b"`.
    fn quoted_cell(&self, start: usize, buffer: &mut String) -> Quoted {
        let bytes = self.text.as_bytes();
        match bytes.get(start) {
            Some(b'"') => self.read_quoted(self.text, start, buffer),
            Some(b' ') => {
                let blanks = bytes[start..].iter().take_while(|&&byte| byte == b' ').count();
                let open = start + blanks;
                if bytes.get(open) != Some(&b'"') {
                    return Quoted::No;
                }
                // After a blank, a quote may as well be text: the line decides.
                let line = memchr2(b'\r', b'\n', &bytes[open..]).unwrap_or(bytes.len() - open);
                match self.read_quoted(&self.text[..open + line], open, buffer) {
                    Quoted::Yes(cell) if !cell.has_single_quotes => Quoted::Yes(cell),
                    _ => Quoted::No,
                }
            }
            _ => Quoted::No,
        }
    }

    /// Reads the cell whose first quote is at `open`.
    fn read_quoted(&self, text: &str, open: usize, buffer: &mut String) -> Quoted {
        let bytes = text.as_bytes();
        let mut copied_to = open + 1;
        let mut search_from = open + 1;
        let mut has_single_quotes = false;
        buffer.clear();
        loop {
            let Some(found) = memchr(b'"', &bytes[search_from..]) else {
                return Quoted::Faulty { at: bytes.len() };
            };
            let quote = search_from + found;
            let before = bytes[open + 1..quote].last().copied();
            if self.rule == QuoteRule::Single && before == Some(b'\\') {
                search_from = quote + 1;
                continue;
            }
            match self.after_quote(bytes, quote + 1) {
                AfterQuote::Quote if has_single_quotes && self.ends_cell(bytes, quote + 2) => {
                    search_from = quote + 1;
                }
                AfterQuote::Quote => {
                    buffer.push_str(&text[copied_to..=quote]);
                    copied_to = quote + 2;
                    search_from = quote + 2;
                }
                AfterQuote::CellEnd(end) => {
                    let rest = copied_to..quote;
                    let text = match buffer.is_empty() && copied_to == open + 1 {
                        true => Some(rest),
                        false => {
                            buffer.push_str(&text[rest]);
                            None
                        }
                    };
                    return Quoted::Yes(QuotedCell { text, end, has_single_quotes });
                }
                // A quote that follows a delimiter or a line end opens another cell: this
                // one has not been closed.
                AfterQuote::Text
                    if self.rule != QuoteRule::Single
                        || before.is_some_and(|byte| self.is_cell_end(byte)) =>
                {
                    return Quoted::Faulty { at: quote };
                }
                AfterQuote::Text => {
                    has_single_quotes = true;
                    search_from = quote + 1;
                }
            }
        }
    }

    fn after_quote(&self, bytes: &[u8], after: usize) -> AfterQuote {
        if bytes.get(after) == Some(&b'"') {
            return AfterQuote::Quote;
        }
        let is_blank = |byte: u8| byte == b' ' || byte == b'\t' && self.delimiter != b'\t';
        let blanks = bytes[after..].iter().take_while(|&&byte| is_blank(byte)).count();
        match self.ends_cell(bytes, after + blanks) {
            true => AfterQuote::CellEnd(after + blanks),
            false => AfterQuote::Text,
        }
    }

    fn ends_cell(&self, bytes: &[u8], offset: usize) -> bool {
        bytes.get(offset).is_none_or(|&byte| self.is_cell_end(byte))
    }

    fn is_cell_end(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == b'\r' || byte == b'\n'
    }
}

enum Quoted {
    /// The cell doesn't begin with a quote.
    No,
    Yes(QuotedCell),
    /// The quotes don't follow the rule, which shows at this offset.
    Faulty {
        at: usize,
    },
}

struct QuotedCell {
    /// Place of the cell's content in the text; `None` if the content is in the buffer.
    text: Option<Range<usize>>,
    /// Offset of the delimiter or line end after the cell.
    end: usize,
    has_single_quotes: bool,
}

enum AfterQuote {
    Quote,
    /// The cell ends, and its delimiter or line end is at this offset.
    CellEnd(usize),
    Text,
}

fn has_line_end(bytes: &[u8]) -> bool {
    memchr2(b'\r', b'\n', bytes).is_some()
}
