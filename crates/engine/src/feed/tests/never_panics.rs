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
        "sep=|\nsku|title|price|parent\n",
        "Title line\n\u{feff}sku\ttitle\tprice\tparent\n",
        "ID,Type,SKU,Name,Regular price,Parent,Attribute 1 value(s)\n",
        "id,title,price,link,item_group_id,size\n",
        "name,slug,assets,facets,optionGroups,optionValues,sku,price\n",
        "Product Handle,Product Title,Product Status,Variant SKU,Variant Price EUR\n",
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
        "\"",
        "\"\"",
        "\\\"",
        "\\",
        "|",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "'=",
        "id:1",
        "draft",
        "1.500",
        "0",
        "€",
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
    let is_explained = feed.all_left_out.total > 0 || !feed.questions.is_empty();
    prop_assert!(is_explained || !feed.products.is_empty());
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
}

/// Each of these rows makes one of the readings of damaged quotes search for the end of a cell
/// up to the end of the file.
#[test]
fn the_time_is_linear_whatever_the_quotes_are() {
    // The time of this process, whose reading takes two threads, whatever else the host does.
    let cpu_time = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    let start = cpu_time();
    for row in [
        "a,\"\"\"\\\"\n",
        "a,\"\"\"\\\"x\n",
        "a,\"\"\"x\n",
        "a,\"x\n",
        "a, \"\"\"x\n",
        "a,\"\\\"\"\n",
        "a,\"\\\"\"\"\n",
        "a,\"x\" \"\"\n",
        "\"\"\"\\\"\",",
        "\"",
        "\\\"",
    ] {
        let rows = row.repeat(400_000 / row.len());
        let _ = read(format!("sku,title,price\n{rows}").as_bytes());
    }
    // In a file of 400 kB, quadratic time is more than a minute for each of these rows. All other
    // tests of the process together take some 20 s.
    assert!(cpu_time() - start < 60, "{} s", cpu_time() - start);
}
