//! What the reader of product feeds tells about a file.

use serde::{Deserialize, Serialize};

/// How a feed is laid out, recognised by its header line.
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
    /// The name that a person knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain CSV",
            Self::Shopify => "Shopify export",
            Self::WooCommerce => "WooCommerce export",
        }
    }
}

/// What stands between two cells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Delimiter {
    Comma,
    Semicolon,
    Tab,
}

impl Delimiter {
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }

    /// The name that a person knows it by.
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
    /// The line of the file in which the row starts, from 1, as an editor
    /// shows it.
    pub line: u64,
    /// As the file's header spells it; `None` when the whole row is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Everything that is wrong with the row, in words.
    pub reason: String,
}

/// Something that was understood on the user's behalf, such as a SKU that the
/// file left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Note {
    /// The line of the file in which the row starts, from 1.
    pub line: u64,
    pub text: String,
}
