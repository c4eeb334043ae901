//! The header line, and how formats find their columns in it.

use super::{
    Delimiter, ReadError,
    cell_text::{trim_and_unescape, truncate},
    scanner::Position,
    table::RecordReader,
};
use csv::StringRecord;

/// Maximum length of a column name in messages, in characters.
const MAX_NAME_CHARS: usize = 60;
/// Maximum number of column names that an error lists.
const MAX_NAMES_LISTED: usize = 20;

/// A column that a format reads.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub index: usize,
    /// Name as the file spells it.
    pub name: String,
}

pub(super) struct Header {
    /// Line in which the header starts, from 1.
    pub line: u64,
    /// Number of cells, including empty ones at the end.
    cell_count: usize,
    /// Column names as the file spells them, without empty ones at the end.
    names: Vec<String>,
    /// Column names for comparison: lower case, single blanks for `_`, `-` and blanks.
    normalized_names: Vec<String>,
}

impl Header {
    pub(super) fn new(record: &StringRecord, line: u64) -> Self {
        let cells: Vec<_> = record.iter().map(trim_and_unescape).collect();
        let width = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let cells = cells.into_iter().take(width);
        Self {
            line,
            cell_count: record.len(),
            normalized_names: cells.clone().map(normalize_name).collect(),
            names: cells.map(|cell| truncate(cell, MAX_NAME_CHARS)).collect(),
        }
    }

    /// Returns the name of the column at a position, for errors of files that can't be
    /// read.
    pub(super) fn column_name_at(
        text: &str,
        delimiter: Delimiter,
        position: Position,
    ) -> Option<String> {
        let mut rows = RecordReader::new(text, delimiter);
        if position.in_header || !rows.read_next().unwrap_or(false) {
            return None;
        }
        let header = Self::new(&rows.record, rows.line);
        header.column_name(position.cell).map(str::to_owned)
    }

    /// Returns how many cells a row may have. Spreadsheets pad all rows, including the
    /// header, with empty cells to the width of the widest.
    pub(super) fn allowed_widths(&self) -> std::ops::RangeInclusive<usize> {
        self.names.len()..=self.cell_count
    }

    pub(super) fn column_name(&self, column: usize) -> Option<&str> {
        self.names.get(column).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn has_column(&self, alias: &str) -> bool {
        self.normalized_names.iter().any(|key| key == alias)
    }

    /// Finds the column with the first of these names that occurs in the header.
    ///
    /// # Errors
    ///
    /// [`ReadError::DuplicateHeader`] if two columns have that name.
    pub(super) fn find_column(&self, aliases: &[&str]) -> Result<Option<Column>, ReadError> {
        let Some(alias) = aliases.iter().find(|alias| self.has_column(alias)) else {
            return Ok(None);
        };
        let mut columns = self.columns_where(|key| key == *alias).into_iter();
        let first = columns.next();
        match columns.next() {
            Some(Column { name, .. }) => Err(ReadError::DuplicateHeader { name, line: self.line }),
            None => Ok(first),
        }
    }

    /// Does the same as [`find_column`](Self::find_column) for a required column.
    pub(super) fn require_column(&self, aliases: &[&'static str]) -> Result<Column, ReadError> {
        self.find_column(aliases)?.ok_or_else(|| ReadError::MissingColumn {
            name: aliases.first().copied().unwrap_or_default(),
            line: self.line,
            found: self.names_for_error(),
        })
    }

    /// Returns the columns whose normalized name satisfies `predicate`.
    pub(super) fn columns_where(&self, predicate: impl Fn(&str) -> bool) -> Vec<Column> {
        let columns = self.normalized_names.iter().zip(&self.names).enumerate();
        columns
            .filter(|(_, (key, _))| predicate(key))
            .map(|(index, (_, name))| Column { index, name: name.clone() })
            .collect()
    }

    /// Returns the column names that an error lists.
    pub(super) fn names_for_error(&self) -> Vec<String> {
        self.names.iter().filter(|name| !name.is_empty()).take(MAX_NAMES_LISTED).cloned().collect()
    }
}

fn normalize_name(name: &str) -> String {
    let words = name.split(|c: char| c.is_whitespace() || c == '_' || c == '-');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}
