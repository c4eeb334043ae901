//! The first rows of a file, from which its format is recognised.

use super::{
    ReadError,
    cell_text::{trim_and_unescape, truncate},
    table::Table,
};
use csv::StringRecord;

/// Maximum number of rows of a sample.
const MAX_ROWS: usize = 200;
/// Maximum number of examples of a column, and of the characters of one.
const MAX_EXAMPLES: usize = 3;
const MAX_EXAMPLE_CHARS: usize = 60;

/// The first rows of a file.
pub(super) struct Sample {
    rows: Vec<StringRecord>,
}

impl Sample {
    /// Reads the first rows of a table.
    pub(super) fn take(table: &mut Table<'_>) -> Result<Self, ReadError> {
        let mut rows = Vec::new();
        while rows.len() < MAX_ROWS {
            let Some(row) = table.next_row()? else { break };
            rows.push(row.cells.clone());
        }
        Ok(Self { rows })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Returns the values of a column that are not blank.
    pub(super) fn values(&self, index: usize) -> impl Iterator<Item = &str> {
        let cells = self.rows.iter().filter_map(move |record| record.get(index));
        cells.map(trim_and_unescape).filter(|cell| !cell.is_empty())
    }

    /// Returns whether a column has values, and all of them satisfy `predicate`.
    pub(super) fn all(&self, index: usize, predicate: impl Fn(&str) -> bool) -> bool {
        let mut values = self.values(index).peekable();
        values.peek().is_some() && values.all(predicate)
    }

    /// Returns the first distinct values of a column, shortened.
    pub(super) fn examples(&self, index: usize) -> Vec<String> {
        let mut examples: Vec<String> = Vec::new();
        for value in self.values(index) {
            let example = truncate(value, MAX_EXAMPLE_CHARS);
            if !examples.contains(&example) {
                examples.push(example);
            }
            if examples.len() == MAX_EXAMPLES {
                break;
            }
        }
        examples
    }
}
