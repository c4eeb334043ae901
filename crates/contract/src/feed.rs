//! Results of reading a product feed: its layout, its bad rows, and notes.

use serde::{Deserialize, Serialize};

/// Layout of a feed, recognised by its header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `sku,title,price[,description,vendor,image,parent]`.
    Plain,
    /// A Shopify product export.
    Shopify,
    /// A WooCommerce product export.
    WooCommerce,
}

impl Format {
    /// Returns the name that people know the format by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain CSV",
            Self::Shopify => "Shopify export",
            Self::WooCommerce => "WooCommerce export",
        }
    }
}

/// Separator between two cells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Delimiter {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `\t`
    Tab,
}

impl Delimiter {
    /// Returns the separator as it is in the file.
    pub fn as_byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }

    /// Returns the name that people know the separator by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
        }
    }
}

/// A row that can't be uploaded, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BadRow {
    /// Line of the file in which the row starts, from 1, as an editor shows it.
    pub line: u64,
    /// Column, spelled as in the file's header; `None` when the whole row is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Everything that is wrong with the row, in words for people.
    pub reason: String,
}

/// An assumption that the reader made for the user, such as a SKU where the
/// file has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeedNote {
    /// Line of the file in which the row starts, from 1.
    pub line: u64,
    /// The assumption, in words for people.
    pub text: String,
}
