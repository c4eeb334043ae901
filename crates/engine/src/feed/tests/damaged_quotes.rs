//! Quotes that break RFC 4180, as exporters and people write them.

use super::*;
use proptest::{collection::vec, prelude::*};

const HEADER: &str = "sku,title,price,vendor\n";

/// Reads rows between two good ones, which must be read whatever is between them. Returns
/// the titles of the other products, and the messages of bad rows.
fn read_between(rows: &str) -> (Vec<String>, Vec<String>) {
    let feed = read_text(&format!("{HEADER}first,\"A, \"\"a\"\"\",1,x\n{rows}\nlast,Z,1,\"z\"\n"));
    let mut titles: Vec<_> = feed.products.iter().map(|p| p.title.clone()).collect();
    assert_eq!(titles.first().map(String::as_str), Some("A, \"a\""), "{rows}");
    assert_eq!(titles.last().map(String::as_str), Some("Z"), "{rows}");
    titles.pop();
    titles.remove(0);
    (titles, bad_row_messages(&feed))
}

#[test]
fn quotes_that_mean_something_are_read_whole() {
    for (rows, titles) in [
        // PHP doubles no quote that follows a backslash.
        (
            r#"b,"[row title=\"Big, bold\" size=\"2\"] text",1,"#,
            vec![r#"[row title=\"Big, bold\" size=\"2\"] text"#],
        ),
        (r#"b,"5\"",1,x"#, vec![r#"5\""#]),
        ("b,\"5\\\"\",1,x\nc,\"6\\\"\",1,\"y\"", vec![r#"5\""#, r#"6\""#]),
        (r#"b,"\", two",1,x"#, vec![r#"\", two"#]),
        (
            "b,\"one \\\"two\\\"\nthree, \"\"four\"\"\",1,x",
            vec!["one \\\"two\\\"\nthree, \"four\""],
        ),
        ("b,\"a\\\"\",1,\"\nc, plain\"\nc,C,1,", vec![r#"a\""#, "C"]),
        // A backslash may also be the last letter of a cell.
        (r#"b,"C:\",1,"D:\""#, vec![r"C:\"]),
        ("b,\"C:\\\",1,x\nc,\"D, D:\\\\\",1,\"y\"", vec![r"C:\", r"D, D:\\"]),
        // RFC 4180 with a backslash before a quote.
        (r#"b,"say \""hi\""",1,x"#, vec![r#"say \"hi\""#]),
        // Quotes that are not doubled.
        (r#"b,"7" tablet",1,x"#, vec![r#"7" tablet"#]),
        (r#"b,"the "Big, bold" mug",1,x"#, vec![r#"the "Big, bold" mug"#]),
        (r#"b,"a "mug"",1,x"#, vec![r#"a "mug""#]),
        ("b,\"<p class=\"a\">\nred, green</p>\",1,x", vec!["<p class=\"a\">\nred, green</p>"]),
        // Quotes of an exporter that quotes nothing.
        (r#"b,"Big" mug,1,x"#, vec![r#""Big" mug"#]),
        ("b,\"Big\" mug,1,x\nc,\"Small\" mug,1,\"x\"", vec!["\"Big\" mug", "\"Small\" mug"]),
        (r#"b,7" tablet,1,10""#, vec![r#"7" tablet"#]),
        // Blanks around quoted cells.
        (r#"b, "one, two" , "1" , x"#, vec!["one, two"]),
        (r#"b, "one" two,1,x"#, vec![r#""one" two"#]),
    ] {
        assert_eq!(
            read_between(rows),
            (titles.iter().map(|t| t.to_string()).collect(), vec![]),
            "{rows}"
        );
    }
}

#[test]
fn a_quote_that_is_never_closed_is_named_and_takes_no_other_row_with_it() {
    let message = "title: a quote opens here that is never closed: close it, and write a quote \
                   inside a cell as two quotes";
    for (rows, titles, lines) in [
        ("b,\"broken,1,x", vec![], vec![3]),
        ("b,\"broken,1,x\nc,\"C\",1,x\nd,D,1,x", vec!["C", "D"], vec![3]),
        ("b,\"broken,1,x\nc,C,1,x\nd,\"D,1,x", vec!["C"], vec![3, 5]),
        (r#"b,"7" x" and, more,1,x"#, vec![], vec![3]),
    ] {
        let expected: Vec<_> = lines.iter().map(|line| format!("{line} {message}")).collect();
        assert_eq!(
            read_between(rows),
            (titles.iter().map(|t| t.to_string()).collect(), expected),
            "{rows}"
        );
    }
    let feed = read_text("sku,title,price\na,Mug,1\nb,\"Cup,2\nc,Jug,3\n");
    assert_eq!(bad_row_messages(&feed), [format!("3 {message}")]);
    assert_eq!(skus(&feed), ["a", "c"]);
}

/// Writes a cell as PHP's `fputcsv` does.
fn php_cell(text: &str) -> String {
    let needs_quotes = text.contains(['"', ',', '\\', '\n', '\r', '\t', ' ']);
    if !needs_quotes {
        return text.to_owned();
    }
    let mut cell = String::from('"');
    let mut is_escaped = false;
    for letter in text.chars() {
        match letter {
            '\\' => is_escaped = true,
            '"' if !is_escaped => cell.push('"'),
            _ => is_escaped = false,
        }
        cell.push(letter);
    }
    cell + "\""
}

proptest! {
    /// PHP's output is ambiguous where a cell ends with a backslash, so none does here.
    #[test]
    fn what_php_writes_is_read_or_named_and_harms_no_other_row(
        titles in vec("[ab\\\\\" ,\n]{0,12}x", 1..6)
    ) {
        let rows = titles.iter().enumerate().map(|(index, title)| {
            format!("s{index},{},{},v\n", php_cell(title), index + 1)
        });
        let text = [HEADER, &rows.collect::<String>(), "last,Z,1,\"z\"\n"].concat();
        let feed = read_text(&text);
        for product in &feed.products {
            if let Some(index) = product.sku.strip_prefix('s').and_then(|n| n.parse::<usize>().ok()) {
                prop_assert_eq!(product.title.as_str(), titles[index].trim(), "{}", text);
                prop_assert_eq!(product.price, Price(100 * (index as u64 + 1)), "{}", text);
            }
        }
        prop_assert!(skus(&feed).contains(&"last"), "{}", text);
        prop_assert!(feed.products.len() + feed.bad_rows.len() > titles.len(), "{}", text);
    }
}
