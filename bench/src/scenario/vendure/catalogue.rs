//! The products of both files: the same ones, with other prices in the second.

use contract::{product::Price, state::Effect};
use std::fmt::Write;

/// Difference between the prices in the two files, more than between any two variants.
const PRICE_CHANGE: u64 = 1_000_000;
/// Values of the two options of each variant.
const CHOICES: [(&str, &str); Catalogue::VARIANTS] = [("Blue", "S"), ("Blue", "L"), ("Red", "S")];

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    First,
    Second,
}

impl Edition {
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }

    /// Returns what its upload does to each product.
    pub const fn effect(self) -> Effect {
        match self {
            Self::First => Effect::Created,
            Self::Second => Effect::Updated,
        }
    }
}

/// A variant as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedVariant {
    pub sku: String,
    pub options: [&'static str; Catalogue::OPTIONS],
    pub price: Price,
}

/// Products that are numbered from 1; each variant has a price of its own.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue {
    pub products: usize,
}

impl Catalogue {
    /// Number of variants of each product.
    pub const VARIANTS: usize = 3;
    /// Number of options of each product.
    pub const OPTIONS: usize = 2;
    /// Stock of each variant.
    pub const STOCK: i64 = 7;

    pub fn numbers(self) -> impl Iterator<Item = usize> {
        1..=self.products
    }

    pub fn title(self, number: usize) -> String {
        format!("Lamp {number}")
    }

    pub fn variants(self, number: usize, edition: Edition) -> [ExpectedVariant; Self::VARIANTS] {
        let change = if edition == Edition::Second { PRICE_CHANGE } else { 0 };
        let mut price = (number * Self::VARIANTS) as u64 + change;
        CHOICES.map(|(color, size)| {
            price += 1;
            ExpectedVariant {
                sku: format!("V-{number:05}-{color}-{size}"),
                options: [color, size],
                price: Price(price),
            }
        })
    }

    /// Returns a file in Shopify's format, which describes options and variants.
    pub fn csv(self, edition: Edition) -> String {
        let mut csv = String::from(
            "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Option2 Name,Option2 Value,\
             Variant SKU,Variant Inventory Qty,Variant Price\n",
        );
        for number in self.numbers() {
            for (row, variant) in self.variants(number, edition).iter().enumerate() {
                let title = if row == 0 { self.title(number) } else { String::new() };
                let [color, size] = variant.options;
                let (sku, price, stock) = (&variant.sku, variant.price, Self::STOCK);
                // Writing to a string can't fail.
                let _ = writeln!(
                    csv,
                    "lamp-{number},{title},,Color,{color},Size,{size},{sku},{stock},{price}"
                );
            }
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_variant_has_prices_of_its_own() {
        let catalogue = Catalogue { products: 50 };
        let editions = [Edition::First, Edition::Second];
        let prices: HashSet<_> = editions
            .into_iter()
            .flat_map(|edition| {
                catalogue.numbers().flat_map(move |number| catalogue.variants(number, edition))
            })
            .map(|variant| variant.price)
            .collect();
        assert_eq!(prices.len(), 2 * 50 * Catalogue::VARIANTS);
    }
}
