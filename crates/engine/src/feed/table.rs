//! Header and rows of a text or of a workbook's sheet, each with its line.

use super::{
    Delimiter, MAX_ROWS, ReadError,
    cell_text::is_blank,
    content::Content,
    delimiter::{TextLayout, detect_layout},
    header::Header,
    records::{Position, RecordReader},
    row::Row,
    sheet::SheetRows,
    workbook::Workbook,
};
use contract::text::{self, MAX_CELL_BYTES};
use csv::StringRecord;

/// Number of rows of which one may be the header: titles, dates and blank lines precede it.
pub(super) const HEADER_CANDIDATES: usize = 10;

/// The rows of a file. [`find_header`](Self::find_header) comes first.
pub(super) struct Table<'t> {
    rows: RowReader<'t>,
    /// The first rows; there is at least one.
    candidates: Vec<HeaderCandidate>,
    /// Index of the header among the candidates.
    chosen: usize,
}

struct HeaderCandidate {
    header: Header,
    /// Where the rows below it start.
    rows_start: RowPosition,
    has_several_cells: bool,
    /// Why this row can't be the header, although it has the names of columns.
    error: Option<ReadError>,
}

impl<'t> Table<'t> {
    pub(super) fn open(content: &'t Content<'_>) -> Result<Self, ReadError> {
        Self::new(match content {
            Content::Text(decoded) => {
                let TextLayout { delimiter, start } = detect_layout(decoded.text());
                RowReader::Text(RecordReader::new(decoded.text(), delimiter, start))
            }
            Content::Workbook(Workbook { rows, .. }) => {
                let record = StringRecord::new();
                RowReader::Sheet(SheetReader { rows, next: 0, record, number: 0 })
            }
        })
    }

    fn new(mut rows: RowReader<'t>) -> Result<Self, ReadError> {
        let mut candidates = Vec::new();
        while candidates.len() < HEADER_CANDIDATES && rows.read_next()? {
            candidates.push(HeaderCandidate {
                header: Header::new(rows.record(), rows.line()),
                rows_start: rows.position(),
                has_several_cells: rows.record().iter().filter(|cell| !is_blank(cell)).count() > 1,
                error: rows.header_error(),
            });
        }
        if candidates.is_empty() {
            return Err(ReadError::Empty);
        }
        Ok(Self { rows, candidates, chosen: 0 })
    }

    /// Makes the first row that `is_header` recognises the header. If there is none, the
    /// header is the first row with several cells.
    ///
    /// # Errors
    ///
    /// The quotes of the header are damaged, or it has a NUL byte.
    pub(super) fn find_header(
        &mut self,
        is_header: impl Fn(&Header) -> bool,
    ) -> Result<(), ReadError> {
        let recognised = self.candidates.iter().position(|row| is_header(&row.header));
        let several_cells = || self.candidates.iter().position(|row| row.has_several_cells);
        self.chosen = recognised.or_else(several_cells).unwrap_or_default();
        self.rewind();
        match &self.candidates[self.chosen].error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Continues with the first row below the header.
    pub(super) fn rewind(&mut self) {
        let candidate = &self.candidates[self.chosen];
        self.rows.resume(candidate.rows_start, candidate.header.width());
    }

    pub(super) fn header(&self) -> &Header {
        &self.candidates[self.chosen].header
    }

    /// Returns the delimiter; a comma if the table is a sheet.
    pub(super) fn delimiter(&self) -> Delimiter {
        self.rows.delimiter()
    }

    /// Returns a number of rows that the table doesn't exceed, unless it has too many.
    pub(super) fn max_rows(&self) -> usize {
        self.rows.max_rows().min(MAX_ROWS as usize)
    }

    /// Reads the next row that is not blank into `row`, and returns whether there was one. The
    /// row's former cells give their memory to those that are read later.
    pub(super) fn read_into(&mut self, row: &mut OwnedRow) -> Result<bool, ReadError> {
        let is_row = self.rows.read_next()?;
        std::mem::swap(self.rows.record_mut(), &mut row.cells);
        row.line = self.rows.line();
        row.faulty_cell = self.rows.faulty_cell();
        row.are_cells_plain = are_plain(&row.cells);
        Ok(is_row)
    }

    /// Returns the next row that is not blank.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, ReadError> {
        Ok(self.rows.read_next()?.then_some(Row {
            line: self.rows.line(),
            cells: self.rows.record(),
            header: &self.candidates[self.chosen].header,
            delimiter: self.rows.delimiter(),
            faulty_cell: self.rows.faulty_cell(),
            are_cells_plain: are_plain(self.rows.record()),
        }))
    }
}

/// A row that is kept while the next ones are read.
#[derive(Default)]
pub(super) struct OwnedRow {
    line: u64,
    cells: StringRecord,
    faulty_cell: Option<usize>,
    are_cells_plain: bool,
}

impl OwnedRow {
    pub(super) fn as_row<'r>(&'r self, header: &'r Header, delimiter: Delimiter) -> Row<'r> {
        let Self { line, cells, faulty_cell, are_cells_plain } = self;
        Row {
            line: *line,
            cells,
            header,
            delimiter,
            faulty_cell: *faulty_cell,
            are_cells_plain: *are_cells_plain,
        }
    }

    /// Returns the size of the cells in bytes.
    pub(super) fn size(&self) -> usize {
        self.cells.as_slice().len()
    }
}

/// Returns whether the cells are surely short enough and have no control characters. Hardly any
/// row has more, so that all cells are looked at together.
fn are_plain(cells: &StringRecord) -> bool {
    let all = cells.as_slice();
    all.len() <= MAX_CELL_BYTES && text::find_control_character(all).is_none()
}

/// Place at which a row starts.
#[derive(Clone, Copy)]
enum RowPosition {
    Text(Position),
    Sheet(usize),
}

/// Reads the rows of a text or of a sheet.
enum RowReader<'t> {
    Text(RecordReader<'t>),
    Sheet(SheetReader<'t>),
}

struct SheetReader<'t> {
    rows: &'t SheetRows,
    next: usize,
    record: StringRecord,
    /// Number of the row in `record`, from 1.
    number: u64,
}

impl RowReader<'_> {
    fn read_next(&mut self) -> Result<bool, ReadError> {
        match self {
            Self::Text(records) => records.read_next(),
            Self::Sheet(sheet) => match sheet.rows.read(sheet.next, &mut sheet.record) {
                Some(number) => {
                    sheet.next += 1;
                    sheet.number = number;
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }

    fn record(&self) -> &StringRecord {
        match self {
            Self::Text(records) => &records.record,
            Self::Sheet(sheet) => &sheet.record,
        }
    }

    fn record_mut(&mut self) -> &mut StringRecord {
        match self {
            Self::Text(records) => &mut records.record,
            Self::Sheet(sheet) => &mut sheet.record,
        }
    }

    fn line(&self) -> u64 {
        match self {
            Self::Text(records) => records.line,
            Self::Sheet(sheet) => sheet.number,
        }
    }

    fn faulty_cell(&self) -> Option<usize> {
        match self {
            Self::Text(records) => records.faulty_cell,
            Self::Sheet(_) => None,
        }
    }

    fn delimiter(&self) -> Delimiter {
        match self {
            Self::Text(records) => records.delimiter(),
            Self::Sheet(_) => Delimiter::Comma,
        }
    }

    fn max_rows(&self) -> usize {
        match self {
            Self::Text(records) => records.max_records(),
            Self::Sheet(sheet) => sheet.rows.row_count(),
        }
    }

    fn position(&self) -> RowPosition {
        match self {
            Self::Text(records) => RowPosition::Text(records.position()),
            Self::Sheet(sheet) => RowPosition::Sheet(sheet.next),
        }
    }

    fn resume(&mut self, position: RowPosition, width: usize) {
        match (self, position) {
            (Self::Text(records), RowPosition::Text(position)) => records.resume(position, width),
            (Self::Sheet(sheet), RowPosition::Sheet(next)) => sheet.next = next,
            _ => {}
        }
    }

    /// Returns why the row that was read last can't be a header.
    fn header_error(&self) -> Option<ReadError> {
        let line = self.line();
        if self.record().as_slice().contains('\0') {
            return Some(ReadError::Nul { line });
        }
        self.faulty_cell().map(|_| ReadError::UnclosedQuote { line, column: None })
    }
}
