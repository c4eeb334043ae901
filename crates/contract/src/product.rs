//! A product as it is sent to a sales channel.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A price in hundredths of the currency; in JSON a decimal string such as
/// `"42.99"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(into = "String", try_from = "String")]
pub struct Price(pub u64);

/// Reason for which a text is not a price, in words that a person can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The text is empty.
    #[error("the price is missing")]
    Missing,
    /// The price is below zero.
    #[error("the price is negative")]
    Negative,
    /// The text is no decimal number with a point.
    #[error("the price is not a number (write it like 19.90)")]
    NotANumber,
    /// The price has more than two decimals.
    #[error("the price has more than two decimals")]
    TooPrecise,
    /// The price is over 1,000,000,000.
    #[error("the price is over 1,000,000,000")]
    TooLarge,
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PriceError::Missing);
        }
        if let Some(rest) = text.strip_prefix('-') {
            return Err(match rest.parse::<Price>() {
                Ok(_) => PriceError::Negative,
                Err(_) => PriceError::NotANumber,
            });
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return Err(PriceError::NotANumber);
        }
        let part = part.trim_end_matches('0');
        if part.len() > 2 {
            return Err(PriceError::TooPrecise);
        }
        let whole: u64 = whole.parse().map_err(|_| PriceError::TooLarge)?;
        if whole > 1_000_000_000 {
            return Err(PriceError::TooLarge);
        }
        let part = format!("{part:0<2}").parse::<u64>().map_err(|_| PriceError::NotANumber)?;
        Ok(Self(whole * 100 + part))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl From<Price> for String {
    fn from(price: Price) -> Self {
        price.to_string()
    }
}

impl TryFrom<String> for Price {
    type Error = PriceError;
    fn try_from(text: String) -> Result<Self, PriceError> {
        text.parse()
    }
}

/// A product: one row of a plain file, or one `Handle` group of a Shopify file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Product {
    /// SKU by which channels identify the product; unique within a file.
    pub sku: String,
    /// Title of the product.
    pub title: String,
    /// Price of the product.
    pub price: Price,
    /// Description of the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name of the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Address of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Variants; empty for a product without options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// A variant: one choice of a product's options, such as *Color: Blue*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Variant {
    /// SKU of the variant.
    pub sku: String,
    /// Option values in the order of the options, such as `Blue / Large`.
    pub title: String,
    /// Price of the variant.
    pub price: Price,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_parsed_or_rejected_with_a_reason() {
        for (text, expected) in [
            ("42.99", Ok(Price(4299))),
            (" 5 ", Ok(Price(500))),
            ("0.5", Ok(Price(50))),
            ("7.1000", Ok(Price(710))),
            ("", Err(PriceError::Missing)),
            ("-3", Err(PriceError::Negative)),
            ("-x", Err(PriceError::NotANumber)),
            ("twelve", Err(PriceError::NotANumber)),
            ("1,50", Err(PriceError::NotANumber)),
            ("1e3", Err(PriceError::NotANumber)),
            (".5", Err(PriceError::NotANumber)),
            ("1.234", Err(PriceError::TooPrecise)),
            ("99999999999999999999999", Err(PriceError::TooLarge)),
        ] {
            assert_eq!(text.parse::<Price>(), expected, "{text:?}");
        }
        assert_eq!(Price(4205).to_string(), "42.05");
    }
}
