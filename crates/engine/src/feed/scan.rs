//! Where in a CSV file a byte stands. The csv crate reads a quote that is left
//! open to the end of the file without a word, and counts only `\n` as the end
//! of a line; this looks at the same bytes by the same rules and tells.

/// A place in a file: its line, from 1, and the cell within its row, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u64,
    pub cell: usize,
    /// Whether it stands in the first row.
    pub in_header: bool,
}

/// What a file read up to some byte looks like.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub end: Place,
    /// Where the quote was opened that is still open at the end.
    pub open_quote: Option<Place>,
    /// The cells of the widest row, and the line it starts in.
    pub widest: (usize, u64),
}

enum State {
    CellStart,
    Bare,
    Quoted,
    /// A quote within quotes: the end of the cell, or the first of two.
    Quote,
}

pub(super) fn scan(bytes: &[u8], delimiter: u8) -> Scan {
    let mut state = State::CellStart;
    let mut here = Place { line: 1, cell: 0, in_header: true };
    let mut opened = here;
    let mut row_line = 1;
    let mut widest = (0, 1);
    let mut row_has_text = false;
    let mut previous = 0;
    for &byte in bytes {
        let ends_line = byte == b'\r' || byte == b'\n';
        if byte == b'\r' || byte == b'\n' && previous != b'\r' {
            here.line += 1;
        }
        state = match (state, byte) {
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) => State::Quoted,
            (State::Quote, b'"') => State::Quoted,
            (State::CellStart, b'"') => {
                opened = here;
                row_has_text = true;
                State::Quoted
            }
            _ if ends_line => {
                // Empty lines before the header are no rows.
                here.in_header &= !row_has_text;
                here.cell = 0;
                row_line = here.line;
                row_has_text = false;
                State::CellStart
            }
            (_, byte) => {
                row_has_text = true;
                if byte == delimiter {
                    here.cell += 1;
                    if here.cell >= widest.0 {
                        widest = (here.cell + 1, row_line);
                    }
                    State::CellStart
                } else {
                    State::Bare
                }
            }
        };
        previous = byte;
    }
    let open_quote = matches!(state, State::Quoted).then_some(opened);
    Scan { end: here, open_quote, widest }
}

/// How many lines end within `bytes`: at `\n`, `\r`, or both together.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    let mut ends = 0;
    let mut previous = 0;
    for &byte in bytes {
        ends += u64::from(byte == b'\r' || byte == b'\n' && previous != b'\r');
        previous = byte;
    }
    ends
}
