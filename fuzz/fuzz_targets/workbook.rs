//! Reads any XML as the parts of a workbook: its sheet, texts and styles, separated by NUL.
//! A fuzzer that changes a whole workbook only breaks its checksums.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run workbook -s none -- -max_total_time=1800 -max_len=16384
//! -timeout=10 -rss_limit_mb=1024` runs it for half an hour on a stable toolchain.
#![no_main]

use engine::feed::{ReadOptions, read};
use libfuzzer_sys::fuzz_target;
use std::{
    io::{Cursor, Write},
    sync::Once,
};
use zip::{CompressionMethod, ZipWriter, result::ZipResult, write::SimpleFileOptions};

const ROOT: &str = r#"<Relationships><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="One" sheetId="1" r:id="s"/></sheets></workbook>"#;
const RELATIONSHIPS: &str = r#"<Relationships><Relationship Id="s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    if let Ok(workbook) = pack(next(), next(), next()) {
        let _ = read(&workbook, &ReadOptions::default(), 0);
    }
});

fn pack(sheet: &[u8], strings: &[u8], styles: &[u8]) -> ZipResult<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (path, content) in [
        ("_rels/.rels", ROOT.as_bytes()),
        ("xl/workbook.xml", WORKBOOK.as_bytes()),
        ("xl/_rels/workbook.xml.rels", RELATIONSHIPS.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet),
        ("xl/sharedStrings.xml", strings),
        ("xl/styles.xml", styles),
    ] {
        writer.start_file(path, options)?;
        writer.write_all(content)?;
    }
    Ok(writer.finish()?.into_inner())
}
