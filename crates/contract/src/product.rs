//! A product as it is sent to a sales channel.

use crate::state::string_enum;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A price in hundredths of the currency; in JSON a decimal string such as
/// `"42.99"`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
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

/// A product as the file describes it. What a channel can't take is left to its connector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Product {
    /// SKU by which channels identify the product; unique within a file.
    pub sku: String,
    /// Title of the product.
    pub title: String,
    /// Price of the product; of one with variants, their lowest.
    pub price: Price,
    /// Price before a reduction; higher than the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Price>,
    /// Currency of the prices, as [ISO 4217](https://www.iso.org/iso-4217-currency-codes.html)
    /// code, if the file says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Whether the product is on sale in the shop that it comes from.
    #[serde(default, skip_serializing_if = "ProductStatus::is_active")]
    pub status: ProductStatus,
    /// Part of the product's address in its shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Description of the product, plain text or HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name of the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Type of the product, such as *Shirt*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_type: Option<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Categories, each with the names from the root down, such as `Home > Lamps`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Address of the first image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// All images, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Names of the options, such as *Color*, in the order of the variants' values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// GTIN, EAN, UPC or ISBN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// Number of items in stock; negative if more were sold than there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<i64>,
    /// Weight of one item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Variants; empty for a product without options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// A variant: one choice of a product's options, such as *Color: Blue*.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Variant {
    /// SKU of the variant.
    pub sku: String,
    /// Option values in the order of the options, such as `Blue / Large`.
    pub title: String,
    /// Price of the variant.
    pub price: Price,
    /// Price before a reduction; higher than the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Price>,
    /// Value for each of the product's options; empty where the variant has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub option_values: Vec<String>,
    /// GTIN, EAN, UPC or ISBN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// Number of items in stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<i64>,
    /// Weight of one item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Address of the variant's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl Product {
    /// Returns a product that consists of what every product has.
    pub fn new(sku: impl Into<String>, title: impl Into<String>, price: Price) -> Self {
        Self { sku: sku.into(), title: title.into(), price, ..Self::default() }
    }
}

impl Variant {
    /// Returns a variant that consists of what every variant has.
    pub fn new(sku: impl Into<String>, title: impl Into<String>, price: Price) -> Self {
        Self { sku: sku.into(), title: title.into(), price, ..Self::default() }
    }
}

string_enum!(
    /// Whether a product is on sale.
    ProductStatus {
        /// On sale.
        Active = "active",
        /// Not on sale yet, or no longer. It is sent only to channels that know drafts.
        Draft = "draft",
    }
);

impl ProductStatus {
    /// Returns whether the product is on sale.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }
}

#[allow(clippy::derivable_impls)] // The macro has no place for `#[default]`.
impl Default for ProductStatus {
    fn default() -> Self {
        Self::Active
    }
}

/// An image of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Image {
    /// Address of the image.
    pub url: String,
    /// Text that describes the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
}

/// A weight as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Weight {
    /// Decimal number with a point, such as `0.25`.
    pub value: String,
    /// Unit of the value.
    pub unit: WeightUnit,
}

string_enum!(
    /// Unit of a weight.
    WeightUnit {
        /// Gram.
        Gram = "g",
        /// Kilogram.
        Kilogram = "kg",
        /// Ounce.
        Ounce = "oz",
        /// Pound.
        Pound = "lb",
    }
);

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
