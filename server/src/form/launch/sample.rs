//! The sample of 150 products, for a first try.

pub const NAME: &str = "sample-150.csv";

const THINGS: [&str; 10] =
    ["Lamp", "Chair", "Table", "Shelf", "Mirror", "Rug", "Vase", "Clock", "Desk", "Stool"];
const KINDS: [&str; 15] = [
    "Oak", "Birch", "Walnut", "Brass", "Linen", "Wool", "Cotton", "Slate", "Cork", "Copper",
    "Marble", "Bamboo", "Steel", "Glass", "Ash",
];

pub fn csv() -> String {
    let mut csv = String::from("sku,title,price\n");
    for (k, kind) in KINDS.iter().enumerate() {
        for (t, thing) in THINGS.iter().enumerate() {
            let number = k * THINGS.len() + t + 1;
            csv.push_str(&format!("MW-{number:03},{kind} {thing},{}.90\n", 19 + number % 80));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn the_sample_is_150_good_products() {
        let feed = engine::feed::read(super::csv().as_bytes()).unwrap();
        assert_eq!((feed.products.len() as u64, feed.bad_total), (app::data::launch::SAMPLE, 0));
    }
}
