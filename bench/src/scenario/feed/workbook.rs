//! An Excel workbook with the rows of a catalogue.

use super::files::TestFile;
use engine::feed::Format;
use std::{
    fmt::Write as _,
    io::{Cursor, Write},
};
use zip::{ZipWriter, write::SimpleFileOptions};

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#;
const ROOT: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Products" sheetId="1" r:id="s"/></sheets></workbook>"#;
const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="t" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#;
const NAMESPACE: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";

/// Packs rows into a workbook, as Excel does: each text once, in a part of its own, and prices
/// as numbers. The part with the texts has nearly this size in bytes: the reader accepts none
/// that is larger.
pub fn create(
    header: &str,
    products: impl Iterator<Item = Vec<Vec<String>>>,
    size: usize,
) -> anyhow::Result<TestFile> {
    let mut sheet = Sheet::default();
    let names: Vec<_> = header.split(',').map(str::to_owned).collect();
    sheet.add_row(&names)?;
    let (mut row_count, mut product_count) = (0, 0);
    for rows in products {
        let added: usize = rows.iter().flatten().map(|cell| cell.len() + 24).sum();
        let is_full = sheet.texts.len() + added + 200 > size;
        if is_full || row_count + rows.len() as u64 > engine::feed::MAX_ROWS {
            break;
        }
        for row in &rows {
            sheet.add_row(row)?;
        }
        row_count += rows.len() as u64;
        product_count += 1;
    }
    let bytes = sheet.pack()?;
    let (delimiter, format) = (b',', Format::Plain);
    Ok(TestFile { bytes, delimiter, format, row_count, product_count })
}

#[derive(Default)]
struct Sheet {
    rows: String,
    row_count: usize,
    texts: String,
    text_count: usize,
}

impl Sheet {
    fn add_row(&mut self, cells: &[String]) -> anyhow::Result<()> {
        self.row_count += 1;
        write!(self.rows, "<row r=\"{}\">", self.row_count)?;
        for (letter, cell) in ('A'..='Z').zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            let place = format!("{letter}{}", self.row_count);
            if cell.parse::<f64>().is_ok() {
                write!(self.rows, "<c r=\"{place}\"><v>{cell}</v></c>")?;
            } else {
                write!(self.rows, "<c r=\"{place}\" t=\"s\"><v>{}</v></c>", self.text_count)?;
                self.text_count += 1;
                write!(self.texts, "<si><t>{}</t></si>", cell.replace('&', "&amp;"))?;
            }
        }
        self.rows.push_str("</row>");
        Ok(())
    }

    fn pack(self) -> anyhow::Result<Vec<u8>> {
        let Self { rows, texts, text_count, .. } = self;
        let sheet = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><worksheet xmlns=\"{NAMESPACE}\">\
             <sheetData>{rows}</sheetData></worksheet>"
        );
        let texts = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><sst xmlns=\"{NAMESPACE}\" \
             count=\"{text_count}\" uniqueCount=\"{text_count}\">{texts}</sst>"
        );
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in [
            ("[Content_Types].xml", CONTENT_TYPES),
            ("_rels/.rels", ROOT),
            ("xl/workbook.xml", WORKBOOK),
            ("xl/_rels/workbook.xml.rels", RELATIONSHIPS),
            ("xl/worksheets/sheet1.xml", &sheet),
            ("xl/sharedStrings.xml", &texts),
        ] {
            writer.start_file(path, SimpleFileOptions::default())?;
            writer.write_all(content.as_bytes())?;
        }
        Ok(writer.finish()?.into_inner())
    }
}
