//! The header line, and how formats find their columns in it.

use super::{
    cell_text::{trim_and_unescape, truncate},
    column_name::normalize,
};
use csv::StringRecord;
use sha2::{Digest, Sha256};

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

#[derive(Clone)]
pub(super) struct Header {
    /// Line in which the header starts, from 1.
    pub line: u64,
    /// Column names as the file spells them, without empty ones at the end.
    names: Vec<String>,
    /// Column names in the form in which they are compared; see [`normalize`].
    normalized_names: Vec<String>,
}

impl Header {
    pub(super) fn new(record: &StringRecord, line: u64) -> Self {
        let cells: Vec<_> = record.iter().map(trim_and_unescape).collect();
        let width = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let cells = cells.into_iter().take(width);
        Self {
            line,
            normalized_names: cells.clone().map(normalize).collect(),
            names: cells.map(|cell| truncate(cell, MAX_NAME_CHARS)).collect(),
        }
    }

    /// Returns the number of columns, without blank ones at the end: spreadsheets pad the
    /// header, or rows, or all of them with empty cells.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    pub(super) fn column_name(&self, column: usize) -> Option<&str> {
        self.names.get(column).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn has_column(&self, alias: &str) -> bool {
        self.normalized_names.iter().any(|key| key == alias)
    }

    /// Returns the columns with their normalized names. Columns without a name are included.
    pub(super) fn columns(&self) -> impl Iterator<Item = (Column, &str)> {
        let columns = self.names.iter().zip(&self.normalized_names).enumerate();
        columns.map(|(index, (name, key))| (Column { index, name: name.clone() }, key.as_str()))
    }

    /// Returns a digest of the names of the columns and their order, as 64 hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.normalized_names.join("\n")))
    }

    /// Returns the column names that an error lists.
    pub(super) fn names_for_error(&self) -> Vec<String> {
        self.names.iter().filter(|name| !name.is_empty()).take(MAX_NAMES_LISTED).cloned().collect()
    }
}
