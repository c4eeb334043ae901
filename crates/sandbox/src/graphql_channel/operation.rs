//! The operations that the channel knows.

use serde::Deserialize;
use serde_json::Value;

use super::catalogue::ProductInput;
use crate::profiles::{FIND_COST, SET_COST};

/// An operation with its variables.
#[derive(Debug, PartialEq)]
pub enum Operation {
    /// `query Check`: says the name of the shop.
    Check,
    /// `query Find`: looks a product up by its handle, and by the SKU of a variant.
    Find {
        /// Handle of the product.
        handle: Box<str>,
        /// SKU of a variant.
        sku: Box<str>,
    },
    /// `mutation Set`: creates or changes a product.
    Set {
        /// Which product.
        identifier: Identifier,
        /// Its content.
        input: ProductInput,
    },
}

/// Which product `productSet` is about.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identifier {
    /// The one with this handle, which is created if there is none.
    Handle(Box<str>),
    /// The one with this id.
    Id(Box<str>),
}

#[derive(Deserialize)]
struct GraphQlRequest {
    query: String,
    #[serde(default)]
    variables: Value,
}

#[derive(Deserialize)]
struct FindVariables {
    handle: Box<str>,
    /// A search such as `sku:"LAMP"`.
    sku: String,
}

#[derive(Deserialize)]
struct SetVariables {
    identifier: Identifier,
    input: ProductInput,
}

impl Operation {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let request: GraphQlRequest = serde_json::from_slice(body)
            .map_err(|error| format!("The body is no GraphQL request: {error}"))?;
        let invalid = |error: serde_json::Error| format!("The variables are invalid: {error}");
        match kind_and_name(&request.query) {
            Some(("query", "Check")) => Ok(Self::Check),
            Some(("query", "Find")) => {
                let FindVariables { handle, sku } =
                    serde_json::from_value(request.variables).map_err(invalid)?;
                let sku = searched_sku(&sku).ok_or("The search is not one such as sku:\"LAMP\"")?;
                Ok(Self::Find { handle, sku: sku.into() })
            }
            Some(("mutation", "Set")) => {
                let SetVariables { identifier, input } =
                    serde_json::from_value(request.variables).map_err(invalid)?;
                Ok(Self::Set { identifier, input })
            }
            _ => Err("The sandbox knows `query Find`, `mutation Set` and `query Check`".into()),
        }
    }

    /// Returns its name in the ledger.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Check => "Check",
            Self::Find { .. } => "Find",
            Self::Set { .. } => "Set",
        }
    }

    /// Returns the SKU that it is about.
    pub fn sku(&self) -> Option<&str> {
        match self {
            Self::Check => None,
            Self::Find { sku, .. } => Some(sku),
            Self::Set { input, .. } => input.first_sku(),
        }
    }

    /// Returns the points that it needs: for a change 10, and 0.2 for each variant.
    pub fn cost(&self) -> u32 {
        match self {
            Self::Check => 1,
            Self::Find { .. } => FIND_COST,
            Self::Set { input, .. } => {
                let variants = u32::try_from(input.variant_count()).unwrap_or(u32::MAX);
                SET_COST.saturating_add(variants.div_ceil(5))
            }
        }
    }
}

/// Returns the first operation of a document, such as `("query", "Find")`.
fn kind_and_name(document: &str) -> Option<(&str, &str)> {
    let lines = document.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut words = lines.flat_map(|line| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
    });
    words.next().zip(words.next())
}

/// Returns the SKU in a search such as `sku:"LAMP"`.
fn searched_sku(search: &str) -> Option<String> {
    let quoted = search.strip_prefix("sku:\"")?.strip_suffix('"')?;
    let mut characters = quoted.chars();
    let mut sku = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        sku.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(sku)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(query: &str, variables: &Value) -> Result<Operation, String> {
        Operation::parse(json!({ "query": query, "variables": variables }).to_string().as_bytes())
    }

    #[test]
    fn operations_are_known_by_kind_and_name() {
        assert_eq!(parse("# A comment\nquery Check { shop { name } }", &json!({})), {
            Ok(Operation::Check)
        });
        let variables = json!({ "handle": "h", "sku": "sku:\"a\\\"b\\\\c\"" });
        let found = parse("query Find($handle: String!) { … }", &variables);
        assert_eq!(found, Ok(Operation::Find { handle: "h".into(), sku: "a\"b\\c".into() }));
        for (query, variables) in [
            ("mutation Check { x }", json!({})),
            ("query Other { x }", json!({})),
            ("{ shop { name } }", json!({})),
            ("", json!({})),
            ("query Find { x }", json!({ "handle": "h" })),
            ("query Find { x }", json!({ "handle": "h", "sku": "LAMP" })),
            ("mutation Set { x }", json!({ "identifier": { "handle": "h" } })),
        ] {
            assert!(parse(query, &variables).is_err(), "{query} {variables}");
        }
        assert!(Operation::parse(b"query").is_err());
    }

    #[test]
    fn a_change_costs_more_with_more_variants() {
        for (count, cost) in [(1, 11), (5, 11), (6, 12), (100, 30)] {
            let variants: Vec<_> = (0..count).map(|n| json!({ "sku": n.to_string() })).collect();
            let variables = json!({
                "identifier": { "handle": "h" },
                "input": { "handle": "h", "title": "T", "variants": variants },
            });
            let parsed = parse("mutation Set { x }", &variables);
            assert_eq!(parsed.map(|operation| operation.cost()), Ok(cost));
        }
    }
}
