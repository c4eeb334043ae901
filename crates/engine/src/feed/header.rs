//! The header line: which column holds what.

use super::{
    Delimiter, Unreadable,
    cell::{clean, clipped},
    scan::Place,
    table::Rows,
};
use csv::StringRecord;

/// How much of a column's name is told, in characters.
const NAME_SHOWN: usize = 60;
/// How many column names an error lists.
const NAMES_SHOWN: usize = 20;

/// A column that a format reads.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub index: usize,
    /// As the file spells it.
    pub name: String,
}

pub(super) struct Header {
    /// The line it starts in, from 1.
    pub line: u64,
    /// Its cells, with the empty ones at the end.
    cells: usize,
    /// As the file spells them, without empty ones at the end.
    names: Vec<String>,
    /// For comparison: lower case, with single blanks for `_`, `-` and blanks.
    keys: Vec<String>,
}

impl Header {
    pub(super) fn new(record: &StringRecord, line: u64) -> Self {
        let cells: Vec<_> = record.iter().map(clean).collect();
        let width = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let cells = cells.into_iter().take(width);
        Self {
            line,
            cells: record.len(),
            keys: cells.clone().map(key).collect(),
            names: cells.map(|cell| clipped(cell, NAME_SHOWN)).collect(),
        }
    }

    /// The name of the column that a place in the file belongs to, for errors
    /// of files that are not read.
    pub(super) fn column_at(text: &str, delimiter: Delimiter, place: Place) -> Option<String> {
        let mut rows = Rows::new(text, delimiter);
        if place.in_header || !rows.advance().unwrap_or(false) {
            return None;
        }
        let header = Self::new(&rows.record, rows.line);
        header.name(place.cell).map(str::to_owned)
    }

    /// How many cells a row has under this header: spreadsheets fill rows up
    /// to the widest with empty cells, the header too.
    pub(super) fn widths(&self) -> std::ops::RangeInclusive<usize> {
        self.names.len()..=self.cells
    }

    pub(super) fn name(&self, column: usize) -> Option<&str> {
        self.names.get(column).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn has(&self, alias: &str) -> bool {
        self.keys.iter().any(|key| key == alias)
    }

    /// The column that goes by the first of these names that is there.
    ///
    /// # Errors
    ///
    /// [`Unreadable::DuplicateHeader`] when two columns go by it.
    pub(super) fn find(&self, aliases: &[&str]) -> Result<Option<Column>, Unreadable> {
        let Some(alias) = aliases.iter().find(|alias| self.has(alias)) else { return Ok(None) };
        let mut columns = self.all(|key| key == *alias).into_iter();
        let first = columns.next();
        match columns.next() {
            Some(Column { name, .. }) => Err(Unreadable::DuplicateHeader { name, line: self.line }),
            None => Ok(first),
        }
    }

    /// As [`find`](Self::find), for a column that a format can't do without.
    pub(super) fn need(&self, aliases: &[&'static str]) -> Result<Column, Unreadable> {
        self.find(aliases)?.ok_or_else(|| Unreadable::MissingColumn {
            name: aliases.first().copied().unwrap_or_default(),
            line: self.line,
            found: self.shown(),
        })
    }

    /// Every column whose name `is` accepts.
    pub(super) fn all(&self, is: impl Fn(&str) -> bool) -> Vec<Column> {
        let columns = self.keys.iter().zip(&self.names).enumerate();
        columns
            .filter(|(_, (key, _))| is(key))
            .map(|(index, (_, name))| Column { index, name: name.clone() })
            .collect()
    }

    /// The column names that an error lists.
    pub(super) fn shown(&self) -> Vec<String> {
        self.names.iter().filter(|name| !name.is_empty()).take(NAMES_SHOWN).cloned().collect()
    }
}

fn key(name: &str) -> String {
    let words = name.split(|c: char| c.is_whitespace() || c == '_' || c == '-');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}
