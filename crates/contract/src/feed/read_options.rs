//! Choices of a person or a program about how a feed is read.

use super::{Encoding, Field};
use crate::state::string_enum;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

string_enum!(
    /// Separator of the decimals of prices.
    DecimalSeparator {
        /// `1.299,00`
        Comma = "comma",
        /// `1,299.00`
        Point = "point",
    }
);

string_enum!(
    /// Price that is sent for a product whose price is reduced.
    PriceChoice {
        /// The price without the reduction.
        Regular = "regular",
        /// The reduced price, while it is in force. The regular one is sent as compare-at price.
        Sale = "sale",
    }
);

string_enum!(
    /// What happens to drafts, and to archived, private and unpublished products.
    DraftChoice {
        /// They are left out.
        LeaveOut = "leave_out",
        /// They are sent as drafts.
        Send = "send",
    }
);

string_enum!(
    /// What happens to products at 0.00.
    ZeroPriceChoice {
        /// They are sent.
        Send = "send",
        /// They are left out.
        LeaveOut = "leave_out",
    }
);

/// How a feed is read. The default decides nothing for the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadOptions {
    /// Columns that were assigned to fields. They take precedence over recognised ones.
    pub map: ColumnMapping,
    /// Separator of the decimals of prices; `None` to detect it.
    pub decimal: Option<DecimalSeparator>,
    /// Price that is sent for a product whose price is reduced; the regular one by default.
    pub price: Option<PriceChoice>,
    /// What happens to drafts; they are left out by default.
    pub drafts: Option<DraftChoice>,
    /// What happens to products at 0.00; a file with some is a question by default.
    pub zero_price: Option<ZeroPriceChoice>,
    /// Name of a workbook's sheet; `None` for the first one that is not blank.
    pub sheet: Option<String>,
    /// Encoding of a text; `None` to detect it.
    pub encoding: Option<Encoding>,
}

impl ReadOptions {
    /// Returns the price that is sent for a product whose price is reduced.
    pub fn price_choice(&self) -> PriceChoice {
        self.price.unwrap_or(PriceChoice::Regular)
    }

    /// Returns whether drafts are sent.
    pub fn sends_drafts(&self) -> bool {
        self.drafts == Some(DraftChoice::Send)
    }
}

/// Columns that were assigned to fields: in text `sku:Artikelnummer,price:VK`. A column is
/// named as in the file, in any case, or by its position from 1, such as `#3`. A comma, colon
/// or backslash in a name is preceded by a backslash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ColumnMapping(pub Vec<(Field, String)>);

/// Reason for which a text is not a mapping of columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMapping {
    /// A part has no colon.
    #[error("{0:?} names no column (write it like sku:Artikelnummer,price:VK)")]
    NoColumn(String),
    /// There is no such field.
    #[error("there is no field {name:?}; known are {}", known_fields(), name = .0)]
    UnknownField(String),
    /// A field has two columns.
    #[error("the field {0} is given twice")]
    Twice(Field),
}

fn known_fields() -> String {
    Field::ASSIGNABLE.map(Field::as_str).join(", ")
}

impl ColumnMapping {
    /// Returns the columns that were assigned to a field, as the person named them.
    pub fn columns(&self, field: Field) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| *own == field).map(|(_, column)| column.as_str())
    }
}

impl FromStr for ColumnMapping {
    type Err = InvalidMapping;

    fn from_str(text: &str) -> Result<Self, InvalidMapping> {
        let mut pairs: Vec<(Field, String)> = Vec::new();
        for part in split_unescaped(text, ',') {
            if part.trim().is_empty() {
                continue;
            }
            let mut sides = split_unescaped(&part, ':').into_iter();
            let field = sides.next().unwrap_or_default();
            // A colon needs no backslash after the first one.
            let column = unescape(&sides.collect::<Vec<_>>().join(":"));
            let (field, column) = (field.trim().to_lowercase(), column.trim().to_owned());
            if column.is_empty() {
                return Err(InvalidMapping::NoColumn(part.trim().to_owned()));
            }
            let known = field.parse().ok().filter(|field| Field::ASSIGNABLE.contains(field));
            let field = known.ok_or(InvalidMapping::UnknownField(field))?;
            let may_repeat = matches!(field, Field::Image | Field::OptionValue | Field::NotRead);
            if !may_repeat && pairs.iter().any(|(own, _)| *own == field) {
                return Err(InvalidMapping::Twice(field));
            }
            pairs.push((field, column));
        }
        Ok(Self(pairs))
    }
}

impl TryFrom<String> for ColumnMapping {
    type Error = InvalidMapping;
    fn try_from(text: String) -> Result<Self, InvalidMapping> {
        text.parse()
    }
}

impl From<ColumnMapping> for String {
    fn from(mapping: ColumnMapping) -> Self {
        mapping.to_string()
    }
}

impl fmt::Display for ColumnMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, column)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            write!(f, "{field}:")?;
            for letter in column.chars() {
                if matches!(letter, ',' | ':' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// Splits a text at a separator that no backslash precedes, and keeps the backslashes.
fn split_unescaped(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for letter in text.chars() {
        if letter == separator && !is_escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        unescaped.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    unescaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn mapping_is_read_as_it_is_written() {
        let mapping: ColumnMapping = "sku:Artikelnummer, price:VK,title:#3".parse().unwrap();
        let pairs = [(Field::Sku, "Artikelnummer"), (Field::Price, "VK"), (Field::Title, "#3")];
        assert_eq!(mapping.0, pairs.map(|(field, name)| (field, name.to_owned())));
        for column in ["VK, netto", "a:b", "a\\", "\\,:", "Prix (€)"] {
            let mapping =
                ColumnMapping(vec![(Field::Sku, column.into()), (Field::Price, "x".into())]);
            assert_eq!(mapping.to_string().parse(), Ok(mapping), "{column}");
        }
        assert_eq!("".parse(), Ok(ColumnMapping::default()));
        assert_eq!("price:a:b".parse(), Ok(ColumnMapping(vec![(Field::Price, "a:b".to_owned())])));
    }

    #[test]
    fn invalid_mapping_is_rejected_with_the_reason() {
        let error = |text: &str| text.parse::<ColumnMapping>().unwrap_err().to_string();
        assert_eq!(
            error("sku"),
            "\"sku\" names no column (write it like sku:Artikelnummer,price:VK)"
        );
        assert!(error("isbn:a").starts_with("there is no field \"isbn\"; known are sku, title,"));
        assert_eq!(error("sku:a,SKU:b"), "the field sku is given twice");
        assert!("image:a,image:b,not_read:c,not_read:d".parse::<ColumnMapping>().is_ok());
    }
}
