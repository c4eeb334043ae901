//! The reader returns for any input, and its result keeps the invariants.

use super::*;
use proptest::{collection::vec, prelude::*};
use std::collections::HashSet;

/// Files with a known header and cells that are nearly valid.
fn almost_valid_files() -> impl Strategy<Value = Vec<u8>> {
    let header = prop::sample::select(vec![
        "sku,title,price,parent\n",
        "sku;title;price;parent\r\n",
        "Handle,Title,Option1 Value,Variant SKU,Variant Price\r",
        "ID,Type,SKU,Name,Regular price,Parent,Attribute 1 value(s)\n",
    ]);
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "1",
        "-1",
        "1,5",
        "2.50",
        ",",
        ",",
        ",",
        ",",
        ";",
        ";",
        "\"",
        "\"\"",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "'=",
        "id:1",
        "variable",
        "variation",
        " ",
        "é",
        "\t",
    ]);
    (header, vec(piece, 0..120))
        .prop_map(|(header, pieces)| [header, &pieces.concat()].concat().into_bytes())
}

fn check_invariants(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(feed) = read(bytes) else { return Ok(()) };
    let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
    prop_assert!(feed.bad_rows.iter().all(|row| (2..=lines).contains(&row.line)));
    prop_assert!(feed.products.len() as u64 + feed.bad_rows_total.min(1) <= feed.row_count);
    let mut seen = HashSet::new();
    for product in &feed.products {
        prop_assert!(seen.insert(&product.sku), "{} twice", product.sku);
        prop_assert!(!product.sku.is_empty() && !product.title.is_empty());
    }
    prop_assert!(feed.bad_rows_total > 0 || !feed.products.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn on_any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        check_invariants(&bytes)?;
    }

    #[test]
    fn on_any_text(text in "\\PC{0,200}") {
        check_invariants(text.as_bytes())?;
    }

    #[test]
    fn on_almost_valid_files(bytes in almost_valid_files()) {
        check_invariants(&bytes)?;
    }

    /// The scanner ends each row where the csv crate does.
    #[test]
    fn the_scanner_and_the_csv_crate_see_the_same_rows(bytes in almost_valid_files()) {
        use crate::feed::scanner::scan;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(&bytes[..]);
        let widest = reader.byte_records().map(|record| record.unwrap().len()).max();
        prop_assert_eq!(scan(&bytes, b',').widest_row.0.max(1), widest.unwrap_or(1));
    }
}
