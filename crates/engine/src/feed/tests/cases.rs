//! Files that real shops wrote, or that people reported: `tests/feed_cases` has a folder for
//! each case. Its `expected.txt` has a section for each file and way to read it, in which each
//! line is a fact of the result.

use super::*;
use contract::feed::ColumnMapping;
use std::{fmt::Write, fs, path::PathBuf};

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "feed_cases"].iter().collect()
}

/// Returns the options that a section names, such as `decimal=comma price=sale`.
fn options(words: &str) -> ReadOptions {
    let mut options = ReadOptions::default();
    for (name, value) in words.split_whitespace().map(|word| word.split_once('=').unwrap()) {
        match name {
            "map" => options.map = value.parse::<ColumnMapping>().unwrap(),
            "decimal" => options.decimal = Some(value.parse().unwrap()),
            "price" => options.price = Some(value.parse().unwrap()),
            "drafts" => options.drafts = Some(value.parse().unwrap()),
            "zero_price" => options.zero_price = Some(value.parse().unwrap()),
            _ => panic!("unknown option {name}"),
        }
    }
    options
}

fn describe(result: Result<Feed, ReadError>) -> String {
    let feed = match result {
        Ok(feed) => feed,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut out = String::new();
    let decimal = feed.decimal.map(|decimal| format!(", decimal {decimal}")).unwrap_or_default();
    let currency = feed.currency.as_ref().map(|code| format!(", {code}")).unwrap_or_default();
    writeln!(out, "{}, {} rows{decimal}{currency}", feed.format.name(), feed.row_count).unwrap();
    for question in &feed.questions {
        let answers: Vec<_> = question.answers.iter().map(|answer| answer.value.as_str()).collect();
        let answers = answers.join("|");
        writeln!(out, "question: {} [{}={answers}]", question.text, question.parameter).unwrap();
    }
    for product in &feed.products {
        writeln!(out, "{}", product_line(product)).unwrap();
        for variant in &product.variants {
            writeln!(out, "  {}", variant_line(variant)).unwrap();
        }
    }
    for line in bad_row_messages(&feed) {
        writeln!(out, "bad: {line}").unwrap();
    }
    for row in &feed.left_out.rows {
        writeln!(out, "left out: {} {}: {}", row.line, row.kind, row.reason).unwrap();
    }
    let notes = note_messages(&feed);
    for line in notes.iter().take(5) {
        writeln!(out, "note: {line}").unwrap();
    }
    if notes.len() > 5 {
        writeln!(out, "{} notes of {}", notes.len(), feed.notes_total).unwrap();
    }
    out
}

fn product_line(product: &Product) -> String {
    let rest = Product {
        sku: String::new(),
        title: String::new(),
        price: Price(0),
        variants: Vec::new(),
        ..product.clone()
    };
    let Product { sku, title, price, .. } = product;
    format!("{sku} “{title}” {price}{}", fields(serde_json::to_value(rest).unwrap()))
}

fn variant_line(variant: &Variant) -> String {
    let rest =
        Variant { sku: String::new(), title: String::new(), price: Price(0), ..variant.clone() };
    let Variant { sku, title, price, .. } = variant;
    format!("{sku} “{title}” {price}{}", fields(serde_json::to_value(rest).unwrap()))
}

fn fields(mut value: serde_json::Value) -> String {
    let map = value.as_object_mut().unwrap();
    map.retain(|name, _| !["sku", "title", "price", "image", "currency"].contains(&name.as_str()));
    if map.is_empty() { String::new() } else { format!(" {value}") }
}

#[test]
fn every_case_is_read_as_expected() {
    let mut sections = 0;
    let mut failures = String::new();
    let mut folders: Vec<_> = fs::read_dir(folder()).unwrap().map(|d| d.unwrap().path()).collect();
    folders.sort();
    for case in folders {
        let path = case.join("expected.txt");
        // Cases of damaged files and encodings are read by `tests/feed_input.rs`.
        let Ok(expected) = fs::read_to_string(&path) else { continue };
        let mut actual = String::new();
        for section in expected.lines().filter_map(|line| line.strip_prefix("== ")) {
            let (file, words) = section.split_once(' ').unwrap_or((section, ""));
            let bytes = fs::read(case.join(file)).unwrap();
            let result = crate::feed::read(&bytes, &options(words), NOW);
            write!(actual, "== {section}\n{}", describe(result)).unwrap();
            sections += 1;
        }
        if std::env::var_os("UPDATE_FEED_CASES").is_some() {
            fs::write(&path, &actual).unwrap();
        } else if actual != expected {
            write!(failures, "{}:\n{actual}\n", case.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(sections > 40, "{sections}");
}
