//! Scans a CSV file for positions and unclosed quotes. The csv crate silently reads an
//! unclosed quote to the end of the file, and counts only `\n` as the end of a line; this
//! scanner follows the same rules otherwise.

/// Position in a file: the line, from 1, and the cell within its row, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub line: u64,
    pub cell: usize,
    /// Whether the position is in the first row.
    pub in_header: bool,
}

/// Result of scanning the beginning of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScanResult {
    /// Position after the last byte.
    pub end: Position,
    /// Position of a quote that is still open at the end.
    pub unclosed_quote: Option<Position>,
    /// Number of cells of the widest row, and the line in which it starts.
    pub widest_row: (usize, u64),
}

enum ScanState {
    CellStart,
    Unquoted,
    Quoted,
    /// After a quote within quotes: the end of the cell, or the first of two.
    QuoteInQuoted,
}

pub(super) fn scan(bytes: &[u8], delimiter: u8) -> ScanResult {
    let mut state = ScanState::CellStart;
    let mut position = Position { line: 1, cell: 0, in_header: true };
    let mut quote_start = position;
    let mut row_line = 1;
    let mut widest = (0, 1);
    let mut row_has_text = false;
    let mut previous = 0;
    for &byte in bytes {
        let ends_line = byte == b'\r' || byte == b'\n';
        if byte == b'\r' || byte == b'\n' && previous != b'\r' {
            position.line += 1;
        }
        state = match (state, byte) {
            (ScanState::Quoted, b'"') => ScanState::QuoteInQuoted,
            (ScanState::Quoted, _) => ScanState::Quoted,
            (ScanState::QuoteInQuoted, b'"') => ScanState::Quoted,
            (ScanState::CellStart, b'"') => {
                quote_start = position;
                row_has_text = true;
                ScanState::Quoted
            }
            _ if ends_line => {
                // Empty lines before the header don't count as rows.
                position.in_header &= !row_has_text;
                position.cell = 0;
                row_line = position.line;
                row_has_text = false;
                ScanState::CellStart
            }
            (_, byte) => {
                row_has_text = true;
                if byte == delimiter {
                    position.cell += 1;
                    if position.cell >= widest.0 {
                        widest = (position.cell + 1, row_line);
                    }
                    ScanState::CellStart
                } else {
                    ScanState::Unquoted
                }
            }
        };
        previous = byte;
    }
    let unclosed_quote = matches!(state, ScanState::Quoted).then_some(quote_start);
    ScanResult { end: position, unclosed_quote, widest_row: widest }
}

/// Counts the lines that end within `bytes`: at `\n`, `\r`, or both together.
pub(super) fn count_line_ends(bytes: &[u8]) -> u64 {
    let mut count = 0;
    let mut previous = 0;
    for &byte in bytes {
        count += u64::from(byte == b'\r' || byte == b'\n' && previous != b'\r');
        previous = byte;
    }
    count
}
