//! Sample of 150 products, for a first try.

pub const FILE_NAME: &str = "sample-150.csv";

const PRODUCTS: [&str; 10] =
    ["Lamp", "Chair", "Table", "Shelf", "Mirror", "Rug", "Vase", "Clock", "Desk", "Stool"];
const MATERIALS: [&str; 15] = [
    "Oak", "Birch", "Walnut", "Brass", "Linen", "Wool", "Cotton", "Slate", "Cork", "Copper",
    "Marble", "Bamboo", "Steel", "Glass", "Ash",
];

/// Returns the sample as CSV.
pub fn csv() -> String {
    let mut csv = String::from("sku,title,price\n");
    for (m, material) in MATERIALS.iter().enumerate() {
        for (p, product) in PRODUCTS.iter().enumerate() {
            let number = m * PRODUCTS.len() + p + 1;
            csv.push_str(&format!("MW-{number:03},{material} {product},{}.90\n", 19 + number % 80));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn sample_has_150_valid_products() {
        let feed = engine::feed::read(super::csv().as_bytes(), &Default::default(), 0).unwrap();
        assert_eq!(
            (feed.products.len() as u64, feed.bad_rows_total),
            (app::page::launch::SAMPLE_PRODUCTS, 0)
        );
    }
}
