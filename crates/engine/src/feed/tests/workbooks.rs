//! Excel workbooks, written here part by part.

use super::*;
use crate::feed::{MAX_BYTES, ReadError, ReadOptions};
use std::io::{Cursor, Write};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const RELATIONSHIPS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const HEADER: &str = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>sku</t></is></c><c r="B1" t="inlineStr"><is><t>title</t></is></c><c r="C1" t="inlineStr"><is><t>price</t></is></c></row>"#;

/// Writes an archive of parts with their paths.
fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (path, content) in parts {
        writer.start_file(*path, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Writes a workbook of sheets, each a name, a state and the XML of its rows.
fn workbook(sheets: &[(&str, &str, &str)], strings: &str, styles: &str) -> Vec<u8> {
    let relationship = |id: &str, kind: &str, target: &str| {
        format!(r#"<Relationship Id="{id}" Type="{RELATIONSHIPS}/{kind}" Target="{target}"/>"#)
    };
    let mut list = String::new();
    let mut relationships = relationship("strings", "sharedStrings", "sharedStrings.xml");
    relationships += &relationship("styles", "styles", "styles.xml");
    let mut parts = Vec::new();
    for (index, (name, state, rows)) in sheets.iter().enumerate() {
        let (id, path) = (format!("s{index}"), format!("worksheets/sheet{index}.xml"));
        list += &format!(
            r#"<sheet name="{name}" sheetId="{}" state="{state}" r:id="{id}"/>"#,
            index + 1
        );
        relationships += &relationship(&id, "worksheet", &path);
        let xml = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
        parts.push((format!("xl/{path}"), xml));
    }
    let of = |content: &str| format!("<Relationships>{content}</Relationships>");
    let book = format!(r#"<workbook xmlns:r="{RELATIONSHIPS}"><sheets>{list}</sheets></workbook>"#);
    let root = of(&relationship("book", "officeDocument", "xl/workbook.xml"));
    parts.extend([
        ("_rels/.rels".to_owned(), root),
        ("xl/workbook.xml".into(), book),
        ("xl/_rels/workbook.xml.rels".into(), of(&relationships)),
        ("xl/sharedStrings.xml".into(), strings.to_owned()),
        ("xl/styles.xml".into(), format!("<styleSheet>{styles}</styleSheet>")),
    ]);
    let parts: Vec<_> = parts.iter().map(|(path, xml)| (path.as_str(), xml.as_bytes())).collect();
    archive(&parts)
}

pub(super) fn one_sheet(rows: &str) -> Vec<u8> {
    workbook(&[("Products", "visible", rows)], "<sst/>", "")
}

#[test]
fn a_sheet_is_read_as_a_person_sees_it() {
    let strings = r#"<sst uniqueCount="5"><si><t>SKU</t></si><si><t>title</t></si><si><t>price</t></si><si><t>vendor</t></si><si><r><t xml:space="preserve">Big </t></r><r><t>&amp; blue</t></r></si></sst>"#;
    let styles = r#"<numFmts><numFmt numFmtId="164" formatCode="00000"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/></cellXfs>"#;
    let rows = r#"
        <row r="2"><c r="B2" t="inlineStr"><is><t>Price list</t></is></c></row>
        <row r="4"><c r="A4" t="s"><v>0</v></c><c r="B4" t="s"><v>1</v></c><c r="C4" t="s"><v>2</v></c><c r="D4" t="s"><v>3</v></c></row>
        <row r="5"><c r="A5"><v>4006381333931</v></c><c r="B5" t="s"><v>4</v></c><c r="C5"><v>19.899999999999999</v></c></row>
        <row r="6"><c r="A6" s="1"><v>17</v></c><c r="B6" t="str"><f>A1</f><v>Mug</v></c><c r="C6"><v>5</v></c><c r="D6" s="2"><v>46354</v></c></row>
        <row r="7"><c r="A7" s="1"/><c r="C7" t="inlineStr"><is><t> </t></is></c></row>
        <row r="9"><c r="A9" t="b"><v>1</v></c><c r="B9" t="e"><v>#SPILL!</v></c><c r="C9" t="e"><v>#N/A</v></c></row>"#;
    let bytes = workbook(
        &[
            ("Empty", "visible", ""),
            ("List & more".replace('&', "&amp;").as_str(), "visible", rows),
        ],
        strings,
        styles,
    );
    let feed = read(&bytes).unwrap();
    let mug = Product { vendor: Some("2026-11-28".into()), ..product("00017", "Mug", 500) };
    assert_eq!(feed.products, [product("4006381333931", "Big & blue", 1990), mug]);
    assert_eq!(
        bad_row_messages(&feed),
        ["9 title: the title is missing; the price is not a number (write it like 19.90)"]
    );
    assert_eq!(feed.sheets, ["Empty", "List & more"]);
    assert_eq!((feed.sheet.as_deref(), feed.row_count), (Some("List & more"), 3));
}

#[test]
fn a_sheet_is_chosen_by_its_name() {
    let row = |sku: &str| {
        format!(
            r#"{HEADER}<row r="2"><c r="A2" t="inlineStr"><is><t>{sku}</t></is></c><c r="B2" t="inlineStr"><is><t>Mug</t></is></c><c r="C2"><v>1</v></c></row>"#
        )
    };
    let (hidden, one, two) = (row("hidden"), row("one"), row("two"));
    let bytes = workbook(
        &[("Hidden", "hidden", &hidden), ("One", "visible", &one), ("Two", "visible", &two)],
        "<sst/>",
        "",
    );
    let read = |sheet: Option<&str>| {
        let sheet = sheet.map(str::to_owned);
        read_bytes_with(&bytes, &ReadOptions { sheet, ..ReadOptions::default() })
    };
    assert_eq!(skus(&read(None).unwrap()), ["one"]);
    assert_eq!(skus(&read(Some("Two")).unwrap()), ["two"]);
    assert_eq!(skus(&read(Some("Hidden")).unwrap()), ["hidden"]);
    assert_eq!(
        read(Some("Three")).unwrap_err().to_string(),
        "The workbook has no sheet “Three”. Its sheets are “Hidden”, “One”, “Two”."
    );
}

#[test]
fn workbooks_that_can_not_be_read_are_refused() {
    let kind = |path: &str| read(&archive(&[(path, b"")])).unwrap_err();
    assert_eq!(kind("notes/readme.txt"), ReadError::Archive);
    assert!(matches!(kind("content.xml"), ReadError::UnsupportedWorkbook { .. }));
    assert!(matches!(kind("xl/workbook.bin"), ReadError::UnsupportedWorkbook { .. }));
    assert!(matches!(kind("xl/worksheets/sheet1.xml"), ReadError::DamagedWorkbook { .. }));
    assert_eq!(read(&one_sheet("")), Err(ReadError::Empty));
    let wide = r#"<row r="3"><c r="ALM3" t="inlineStr"><is><t>x</t></is></c></row>"#;
    assert_eq!(read(&one_sheet(wide)), Err(ReadError::TooManyCells { line: 3 }));
    let good = one_sheet(HEADER);
    for end in 0..good.len() {
        assert!(read(&good[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn workbooks_that_unpack_to_too_much_are_refused() {
    let blanks = " ".repeat(MAX_BYTES + 1);
    let strings = format!("<sst>{blanks}</sst>");
    let bomb = workbook(&[("One", "visible", HEADER)], &strings, "");
    assert!(bomb.len() < 100_000);
    assert_eq!(read(&bomb), Err(ReadError::WorkbookTooLarge));

    // All parts have the same content, so the archive is small.
    let mut writer = ZipWriter::new_append(Cursor::new(one_sheet(&blanks))).unwrap();
    for number in 1..9 {
        let path = format!("xl/worksheets/copy{number}.xml");
        writer.shallow_copy_file("xl/worksheets/sheet0.xml", path.as_str()).unwrap();
    }
    let bomb = writer.finish().unwrap().into_inner();
    assert_eq!(read(&bomb), Err(ReadError::WorkbookTooLarge));

    for count in ["18446744073709551615", "99999999999", "+99999999999"] {
        let strings = format!(r#"<sst uniqueCount="{count}"><si><t>a</t></si></sst>"#);
        let bytes = workbook(&[("One", "visible", HEADER)], &strings, "");
        assert!(matches!(read(&bytes), Err(ReadError::DamagedWorkbook { .. })), "{count}");
    }
}

/// The size in the directory is not believed: a part that is larger than it says is cut off.
#[test]
fn an_archive_that_lies_about_its_sizes_is_refused() {
    let strings = format!("<sst>{}</sst>", " ".repeat(MAX_BYTES + 1));
    let mut bytes = workbook(&[("One", "visible", HEADER)], &strings, "");
    let size = (strings.len() as u32).to_le_bytes();
    let mut found = 0;
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == size {
            bytes[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
            found += 1;
        }
    }
    assert!(found > 0);
    assert!(read(&bytes).is_err());
}
