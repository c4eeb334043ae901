//! Questions that only a person can answer, because a file can be understood in several ways.

use super::{DecimalSeparator, Field};
use crate::product::Price;
use serde::{Deserialize, Serialize};

/// A question about a file. A launch with an open question is refused; it is answered by
/// repeating the launch with the parameter `parameter` set to an allowed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Question {
    /// What is in question.
    #[serde(flatten)]
    pub subject: QuestionSubject,
    /// The question in words for people.
    pub text: String,
    /// Name of the parameter that answers it: `map`, `decimal` or `zero_price`.
    pub parameter: String,
    /// Allowed values of the parameter; empty for `map`, whose values are `field:column` pairs
    /// separated by commas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
}

/// A possible answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// Value of the parameter.
    pub value: String,
    /// What the answer means, in words for people.
    pub label: String,
}

/// What is in question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QuestionSubject {
    /// Which columns have the fields that every product needs.
    Columns {
        /// Fields for which no column was recognised.
        missing: Vec<MissingField>,
    },
    /// What separates the decimals of prices.
    Decimal {
        /// Column of the prices, as the file spells it.
        column: String,
        /// The first three values that can be read in two ways.
        examples: Vec<DecimalExample>,
        /// Number of values that can be read in two ways.
        count: u64,
    },
    /// Whether products that cost nothing are sent.
    ZeroPrice {
        /// Number of products at 0.00.
        count: u64,
        /// Lines of the first 20.
        lines: Vec<u64>,
    },
}

/// A field for which no column was recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MissingField {
    /// The field.
    pub field: Field,
    /// Columns that may have it: those that are not read for another field, best guess first.
    pub candidates: Vec<String>,
}

/// A price that can be read in two ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DecimalExample {
    /// Line of the file in which the row starts, from 1.
    pub line: u64,
    /// The cell as it is in the file.
    pub text: String,
    /// Price if a comma separates the decimals; `null` if it is none then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_comma: Option<Price>,
    /// Price if a point separates the decimals; `null` if it is none then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_point: Option<Price>,
}

impl DecimalExample {
    /// Returns the price under a decimal separator.
    pub fn with(&self, separator: DecimalSeparator) -> Option<Price> {
        match separator {
            DecimalSeparator::Comma => self.as_comma,
            DecimalSeparator::Point => self.as_point,
        }
    }
}
