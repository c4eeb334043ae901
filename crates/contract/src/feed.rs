//! Results of reading a product feed: its layout, what its columns are taken for, its bad
//! rows, what is left out, open questions, and notes.

mod column;
mod encoding;
mod left_out;
mod question;
mod read_options;

pub use column::{ColumnInfo, Field, SalePrices};
pub use encoding::Encoding;
pub use left_out::{LeftOut, LeftOutCount, LeftOutKind, LeftOutRow, MAX_LEFT_OUT_LISTED};
pub use question::{Answer, DecimalExample, MissingField, Question, QuestionSubject};
pub use read_options::{
    ColumnMapping, DecimalSeparator, DraftChoice, InvalidMapping, PriceChoice, ReadOptions,
    ZeroPriceChoice,
};

use serde::{Deserialize, Serialize};

/// Layout of a feed, recognised by its header line and its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A list with one product or variant a row, such as
    /// `sku,title,price[,description,vendor,image,parent]`.
    #[default]
    Plain,
    /// A Shopify product export.
    Shopify,
    /// A WooCommerce product export, in any language.
    WooCommerce,
    /// A Google Merchant Center feed.
    Google,
    /// A file for Vendure's product import.
    Vendure,
    /// A Medusa product export or import template.
    Medusa,
}

impl Format {
    /// Returns the name that people know the format by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain CSV",
            Self::Shopify => "Shopify export",
            Self::WooCommerce => "WooCommerce export",
            Self::Google => "Google Merchant feed",
            Self::Vendure => "Vendure import file",
            Self::Medusa => "Medusa product file",
        }
    }
}

/// Separator between two cells of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Delimiter {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// `\t`
    Tab,
    /// `|`
    Pipe,
}

impl Delimiter {
    /// Returns the separator as it is in the file.
    pub fn as_byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// Returns the name that people know the separator by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Pipe => "pipe",
        }
    }
}

/// A row that can't be uploaded, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BadRow {
    /// Line of the file in which the row starts, from 1, as an editor shows it.
    pub line: u64,
    /// Column, spelled as in the file's header; `null` when the whole row is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Everything that is wrong with the row, in words for people.
    pub reason: String,
}

/// An assumption that the reader made for the user, such as a SKU where the
/// file has none, or something about a row that the user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeedNote {
    /// Line of the file in which the row starts, from 1.
    pub line: u64,
    /// The assumption, in words for people.
    pub text: String,
}
