//! Rows that are left out of an upload, by rule or because they are bad.

use super::BadRow;
use crate::state::string_enum;
use serde::{Deserialize, Serialize};

/// Maximum number of rows that a [`LeftOut`] lists; it counts them all.
pub const MAX_LEFT_OUT_LISTED: usize = 1_000;

string_enum!(
    /// Kind of reason for which a row is left out.
    LeftOutKind {
        /// The product is a draft.
        Draft = "draft",
        /// The product is archived.
        Archived = "archived",
        /// The product is private.
        Private = "private",
        /// The product is not published.
        Unpublished = "unpublished",
        /// The product is a group of other products and has no price of its own.
        Grouped = "grouped",
        /// The product has no price by its nature, such as an external one.
        NoPrice = "no_price",
        /// The product is priced at 0.00.
        ZeroPrice = "zero_price",
        /// The row can't be uploaded as it is; see [`BadRow`].
        Invalid = "invalid",
        /// The row is valid, and belongs to a product with a bad row.
        BadProduct = "bad_product",
    }
);

impl LeftOutKind {
    /// Returns the words that follow a number, such as "3 drafts".
    pub const fn noun(self, count: u64) -> &'static str {
        match (self, count) {
            (Self::Draft, 1) => "draft",
            (Self::Draft, _) => "drafts",
            (Self::Archived, _) => "archived",
            (Self::Private, _) => "private",
            (Self::Unpublished, _) => "not published",
            (Self::Grouped, 1) => "grouped product",
            (Self::Grouped, _) => "grouped products",
            (Self::NoPrice, _) => "without a price",
            (Self::ZeroPrice, _) => "priced at 0.00",
            (Self::Invalid, 1) => "bad row",
            (Self::Invalid, _) => "bad rows",
            (Self::BadProduct, 1) => "row of a product with a bad row",
            (Self::BadProduct, _) => "rows of products with a bad row",
        }
    }
}

/// A row that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOutRow {
    /// Line of the file in which the row starts, from 1.
    pub line: u64,
    /// Column that says so, spelled as in the file's header; `null` for the whole row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Reason in words for people.
    pub reason: String,
    /// Kind of the reason.
    pub kind: LeftOutKind,
}

impl From<BadRow> for LeftOutRow {
    fn from(BadRow { line, column, reason }: BadRow) -> Self {
        Self { line, column, reason, kind: LeftOutKind::Invalid }
    }
}

/// Number of the rows that are left out for one kind of reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOutCount {
    /// Kind of the reason.
    pub kind: LeftOutKind,
    /// Number of rows.
    pub count: u64,
    /// Lines of the first 20 rows.
    pub lines: Vec<u64>,
}

/// Rows that are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// The first 1,000 rows by line.
    pub rows: Vec<LeftOutRow>,
    /// Number of all rows.
    pub total: u64,
    /// Numbers by kind, without kinds that don't occur.
    pub by_kind: Vec<LeftOutCount>,
}

impl LeftOut {
    /// Returns whether no row is left out.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds a row. Rows are added in the order of their lines.
    pub fn push(&mut self, row: LeftOutRow) {
        self.total += 1;
        match self.by_kind.iter_mut().find(|of_kind| of_kind.kind == row.kind) {
            Some(of_kind) => {
                of_kind.count += 1;
                if of_kind.lines.len() < LeftOutCount::MAX_LINES {
                    of_kind.lines.push(row.line);
                }
            }
            None => {
                self.by_kind.push(LeftOutCount { kind: row.kind, count: 1, lines: vec![row.line] });
            }
        }
        if self.rows.len() < MAX_LEFT_OUT_LISTED {
            self.rows.push(row);
        }
    }
}

impl LeftOutCount {
    /// Maximum number of lines that are listed.
    pub const MAX_LINES: usize = 20;
}
