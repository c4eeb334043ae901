//! The products of both files: the same ones, every second of them with another price.

use super::effects::EffectCounts;
use contract::product::Price;
use serde_json::Value;
use std::fmt::Write;

/// Price of the first product in the first file, in hundredths.
const FIRST_PRICE: u64 = 1_000;
/// Difference between the two prices of a product, more than between any two products.
const PRICE_CHANGE: u64 = 10_000_000;

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
}

/// Products that are numbered from 1; each has a price of its own.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue {
    pub products: usize,
}

impl Catalogue {
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        1..=self.products
    }

    pub fn skus(self) -> impl Iterator<Item = String> {
        self.numbers().map(move |number| self.sku(number))
    }

    pub fn sku(self, number: usize) -> String {
        format!("UPD-{number:05}")
    }

    pub fn price(self, number: usize, edition: Edition) -> Price {
        let is_changed = edition == Edition::Second && number.is_multiple_of(2);
        let change = if is_changed { PRICE_CHANGE } else { 0 };
        Price(FIRST_PRICE + number as u64 + change)
    }

    pub fn csv(self, edition: Edition) -> String {
        let mut csv = String::from("sku,title,price,description\n");
        for number in self.numbers() {
            let (sku, price) = (self.sku(number), self.price(number, edition));
            // Writing to a string can't fail.
            let _ = writeln!(csv, "{sku},Lamp {number},{price},A lamp for desk and wall");
        }
        csv
    }

    /// Returns what the upload of an edition has to change at each channel.
    pub fn expected_effects(self, edition: Edition) -> EffectCounts {
        let changed = self.products / 2;
        match edition {
            Edition::First => EffectCounts { created: self.products, ..EffectCounts::default() },
            Edition::Second => EffectCounts {
                updated: changed,
                unchanged: self.products - changed,
                ..EffectCounts::default()
            },
        }
    }

    /// Returns what is wrong with the products that a channel stores for a SKU after both
    /// uploads; `None` if nothing is.
    pub fn objection(self, number: usize, stored: &[Value]) -> Option<String> {
        let (sku, price) = (self.sku(number), self.price(number, Edition::Second).to_string());
        match stored {
            [product] if product["price"] == price => None,
            [product] => Some(format!("{sku}: the price is {}, not {price}", product["price"])),
            products => Some(format!("{sku}: {} products", products.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::HashSet;

    #[test]
    fn half_of_the_prices_change_and_none_is_that_of_another_product() {
        for products in [500, 61] {
            let catalogue = Catalogue { products };
            let price = |number, edition| catalogue.price(number, edition);
            let changed = catalogue
                .numbers()
                .filter(|&n| price(n, Edition::First) != price(n, Edition::Second))
                .count();
            assert_eq!(changed, catalogue.expected_effects(Edition::Second).updated);
            let both = [Edition::First, Edition::Second].into_iter();
            let prices: HashSet<_> =
                both.flat_map(|e| catalogue.numbers().map(move |n| price(n, e))).collect();
            assert_eq!(prices.len(), products + changed);
        }
    }

    #[test]
    fn files_have_the_same_products_in_both_editions() {
        let catalogue = Catalogue { products: 4 };
        let column = |edition, column: usize| {
            let csv = catalogue.csv(edition);
            let cells = csv.lines().map(|line| line.split(',').nth(column).map(str::to_owned));
            cells.collect::<Option<Vec<_>>>().unwrap()
        };
        assert_eq!(column(Edition::First, 0), column(Edition::Second, 0));
        assert_eq!(column(Edition::First, 2), ["price", "10.01", "10.02", "10.03", "10.04"]);
        assert_eq!(
            column(Edition::Second, 2),
            ["price", "10.01", "100010.02", "10.03", "100010.04"]
        );
    }

    #[test]
    fn one_product_with_the_second_price_is_right() {
        let catalogue = Catalogue { products: 2 };
        let product = |price| json!({ "sku": "UPD-00002", "price": price });
        let (old, new) = (product("10.02"), product("100010.02"));
        assert_eq!(catalogue.objection(2, std::slice::from_ref(&new)), None);
        for wrong in [&[][..], &[old], &[new.clone(), new.clone()]] {
            assert!(catalogue.objection(2, wrong).is_some(), "{wrong:?}");
        }
    }
}
