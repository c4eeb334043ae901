//! What the page shows of a file that was read: sentences, the answers that a person can give,
//! and tables. The server writes the sentences, so that the browser only has to show them.

#[cfg(feature = "ssr")]
mod columns;
#[cfg(feature = "ssr")]
mod describe;
#[cfg(feature = "ssr")]
mod questions;
#[cfg(all(test, feature = "ssr"))]
mod tests;

#[cfg(feature = "ssr")]
pub use describe::ReadFile;

use serde::{Deserialize, Serialize};

/// What the page shows of a file that was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// Name of the file.
    pub file: String,
    /// What was understood.
    pub summary: String,
    /// Why an answer could not be used.
    pub problem: Option<String>,
    /// Character encoding, if it was guessed or chosen.
    pub encoding: Option<Choice>,
    /// Sheet of a workbook that has several.
    pub sheet: Option<Choice>,
    /// Columns, and what they are taken for.
    pub columns: Option<ColumnForm>,
    /// Mapping of the columns that the form was rendered with.
    pub map: String,
    /// What separates the decimals of prices.
    pub decimal: Option<Choice>,
    /// What happens to products at 0.00.
    pub zero_price: Option<Choice>,
    /// Which of two prices is sent.
    pub price: Option<Choice>,
    /// What happens to products that are not for sale.
    pub drafts: Option<Choice>,
    pub bad_rows: RowList,
    pub left_out: LeftOutReport,
    pub notes: NoteList,
    /// The first products.
    pub preview: Vec<PreviewRow>,
    pub counts: FileCounts,
}

/// Numbers that the button and the estimate depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCounts {
    pub questions: u64,
    pub products: u64,
    pub rows: u64,
    pub bad_rows: u64,
    /// Rows that are left out by rule.
    pub left_out: u64,
}

/// The columns of a file, with a field to choose for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnForm {
    /// Whether the file can't be launched before a column is chosen.
    pub is_question: bool,
    /// Whether the team chose the columns for an earlier file.
    pub is_remembered: bool,
    /// The question, or how many columns are read.
    pub title: String,
    pub rows: Vec<ColumnRow>,
    /// Number of columns that are not listed.
    pub more: u64,
}

/// A column of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRow {
    /// Position in the file, from 1.
    pub position: u32,
    pub name: String,
    pub examples: String,
    /// Field that the column is taken for, as the parameter `map` names it.
    pub field: String,
    /// Name of the field, if a person can't assign columns to it.
    pub other_field: Option<String>,
    /// Whether a person chose the field.
    pub is_chosen: bool,
}

impl ColumnRow {
    /// Returns the value of the parameter `map` by which the column has `field`. It is empty if
    /// that is what the reader recognised: only what a person changed is said.
    pub fn map_value(&self, field: &str) -> String {
        if field == self.field && !self.is_chosen {
            String::new()
        } else {
            format!("{field}:#{}", self.position)
        }
    }
}

/// A choice of one of several values of a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Whether the file can't be launched before a value is chosen.
    pub is_question: bool,
    /// Name of the parameter.
    pub parameter: String,
    /// The question, or what the choice is about.
    pub title: String,
    /// More about it.
    pub detail: Option<String>,
    /// Values with their labels; empty if there is nothing to choose.
    pub options: Vec<ChoiceOption>,
    /// Value that is chosen.
    pub chosen: Option<String>,
}

/// A value that can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceOption {
    pub value: String,
    pub label: String,
}

/// Rows of the file with a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowList {
    /// What is said of the rows.
    pub title: String,
    pub rows: Vec<ReportedRow>,
    /// Number of rows that are not listed.
    pub more: u64,
}

/// Row of a file with a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRow {
    pub line: u64,
    pub column: String,
    pub reason: String,
}

/// Rows that are left out by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutReport {
    /// Numbers and lines by kind of reason.
    pub kinds: Vec<String>,
    pub list: RowList,
}

/// Notes on how the file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteList {
    /// Number of notes, and of how many.
    pub title: String,
    pub notes: Vec<String>,
}

/// A product as it would be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRow {
    pub sku: String,
    pub title: String,
    /// Number of variants, and whether it is a draft.
    pub detail: String,
    pub price: String,
    /// Price before the reduction.
    pub compare_at_price: Option<String>,
}
