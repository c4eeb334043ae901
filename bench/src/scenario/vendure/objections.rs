//! What is wrong with the products that Vendure stores.

use super::catalogue::{Catalogue, Edition, ExpectedVariant};
use std::collections::BTreeMap;
use testbed::{VendureProduct, VendureVariant};

/// Returns a text for each product that is not there once, as the file has it.
pub fn find(catalogue: Catalogue, edition: Edition, stored: &[VendureProduct]) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<&VendureProduct>> = BTreeMap::new();
    for product in stored {
        by_name.entry(&product.name).or_default().push(product);
    }
    let mut objections = Vec::new();
    for number in catalogue.numbers() {
        let title = catalogue.title(number);
        let expected = catalogue.variants(number, edition);
        let objection = match by_name.remove(title.as_str()).as_deref() {
            Some([product]) => objection(product, &expected),
            found => Some(format!("it is there {} times", found.map_or(0, <[_]>::len))),
        };
        objections.extend(objection.map(|objection| format!("{title}: {objection}")));
    }
    objections.extend(by_name.into_keys().map(|name| format!("{name}: nobody uploaded it")));
    objections
}

fn objection(product: &VendureProduct, expected: &[ExpectedVariant]) -> Option<String> {
    if !product.enabled {
        return Some("it is switched off".into());
    }
    if product.option_groups.len() != Catalogue::OPTIONS {
        return Some(format!("it has {} option groups", product.option_groups.len()));
    }
    if product.variants.len() != expected.len() {
        return Some(format!("it has {} variants", product.variants.len()));
    }
    let is_missing = |expected: &&ExpectedVariant| {
        !product.variants.iter().any(|variant| is_same(variant, expected))
    };
    expected
        .iter()
        .find(is_missing)
        .map(|missing| format!("it lacks {missing:?}; there are {:?}", product.variants))
}

fn is_same(stored: &VendureVariant, expected: &ExpectedVariant) -> bool {
    let has_option = |name: &&str| stored.options.iter().any(|option| option.name == **name);
    stored.sku == expected.sku
        && stored.price == expected.price.0
        && stored.options.len() == expected.options.len()
        && expected.options.iter().all(has_option)
        && stored.stock_levels.iter().map(|stock| stock.stock_on_hand).sum::<i64>()
            == Catalogue::STOCK
}

/// Returns the ids of each product and its variants, by the product's name.
pub fn ids(stored: &[VendureProduct]) -> BTreeMap<String, Vec<String>> {
    let ids = |product: &VendureProduct| {
        let mut ids: Vec<_> = product.variants.iter().map(|variant| variant.id.clone()).collect();
        ids.sort();
        ids.insert(0, product.id.clone());
        ids
    };
    stored.iter().map(|product| (product.name.clone(), ids(product))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CATALOGUE: Catalogue = Catalogue { products: 1 };

    fn product() -> VendureProduct {
        let variants: Vec<_> = CATALOGUE
            .variants(1, Edition::First)
            .into_iter()
            .map(|variant| {
                json!({
                    "id": variant.sku, "sku": variant.sku, "name": "", "price": variant.price.0,
                    "stockLevels": [{"stockOnHand": Catalogue::STOCK}],
                    "options": variant.options.map(|name| json!({"name": name})),
                })
            })
            .collect();
        let groups = [json!({"name": "Color"}), json!({"name": "Size"})];
        let product = json!({
            "id": "1", "name": "Lamp 1", "slug": "lamp-1", "description": "", "enabled": true,
            "optionGroups": groups, "variants": variants,
        });
        serde_json::from_value(product).unwrap()
    }

    #[test]
    fn a_whole_product_is_right_and_others_are_not() {
        let find = |edition, stored: &[VendureProduct]| find(CATALOGUE, edition, stored).len();
        assert_eq!(find(Edition::First, &[product()]), 0);
        assert_eq!(find(Edition::Second, &[product()]), 1, "the prices are the old ones");
        assert_eq!(find(Edition::First, &[]), 1);
        assert_eq!(find(Edition::First, &[product(), product()]), 1);
        let unfinished = VendureProduct { name: "Unfinished upload of lamp-1".into(), ..product() };
        assert_eq!(find(Edition::First, &[product(), unfinished]), 1);
        let half = VendureProduct { variants: product().variants[..2].to_vec(), ..product() };
        let off = VendureProduct { enabled: false, ..product() };
        let bare = VendureProduct { option_groups: Vec::new(), ..product() };
        for wrong in [half, off, bare] {
            assert_eq!(find(Edition::First, &[wrong]), 1);
        }
    }
}
