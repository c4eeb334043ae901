//! Reads a sheet of an Excel workbook (`.xlsx` and `.xlsm`).
//!
//! A workbook is a ZIP archive of XML. A small file may therefore unpack to gigabytes, and
//! calamine keeps some parts in memory and doesn't limit any. All parts that it reads are
//! first unpacked here, with a limit, and thrown away.

use super::{
    MAX_BYTES, MAX_ROWS, ReadError, cell_text::is_blank, quoting::MAX_CELLS, sheet::SheetRows,
    sheet_cell::cell_text,
};
use calamine::{Reader, Sheet, SheetType, SheetVisible, Xlsx, XlsxError};
use memchr::memmem;
use std::{
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};
use zip::ZipArchive;

const ZIP_SIGNATURES: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
/// First bytes of `.xls` files, and of workbooks that are encrypted.
const COMPOUND_FILE_SIGNATURE: &[u8] = b"\xD0\xCF\x11\xE0";
/// Maximum number of parts of a workbook; those of shops have some dozens.
const MAX_PARTS: usize = 5_000;
/// Maximum size of all parts of a workbook, in bytes: XML takes about eight
/// times the space of the text in it.
const MAX_UNPACKED_BYTES: u64 = 8 * MAX_BYTES as u64;
/// Maximum number of texts that a workbook may claim to have: the shortest takes 14 bytes.
const MAX_TEXTS: usize = MAX_BYTES / 8;
/// Maximum number of cells of a sheet, including blank ones between others: 40 columns for
/// the maximum number of rows.
const MAX_SHEET_CELLS: usize = 40 * MAX_ROWS as usize;
/// Number of rows above the header and below it that are read.
const MAX_SHEET_ROWS: usize = MAX_ROWS as usize + 100;

/// A sheet, and the names of all sheets of its workbook.
#[derive(Debug)]
pub(super) struct Workbook {
    pub sheets: Vec<String>,
    pub sheet: String,
    pub rows: SheetRows,
}

/// Reads the sheet with a name, or the first one that has a cell with text.
///
/// Returns `None` if the file is no workbook.
///
/// # Errors
///
/// [`ReadError`] if the workbook is encrypted, damaged or too large, is of another kind, or
/// has no such sheet.
pub(super) fn open(bytes: &[u8], sheet: Option<&str>) -> Result<Option<Workbook>, ReadError> {
    if bytes.starts_with(COMPOUND_FILE_SIGNATURE) {
        let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
        return Err(match memmem::find(bytes, &name) {
            Some(_) => ReadError::EncryptedWorkbook,
            None => ReadError::UnsupportedWorkbook { kind: "an old Excel workbook (.xls)" },
        });
    }
    if !ZIP_SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        return Ok(None);
    }
    let max_sheets = check_archive(bytes)?;
    // A hostile file must cost an error only, even if it meets a defect of the library.
    let read = AssertUnwindSafe(|| read_workbook(bytes, sheet, max_sheets));
    catch_unwind(read).unwrap_or_else(|_| Err(damaged("its content is invalid"))).map(Some)
}

/// Checks that an archive is a workbook that unpacks to no more than is read. Returns how many
/// sheets may be read: several sheets may be the same part, so their number alone says little
/// about the time they take.
fn check_archive(bytes: &[u8]) -> Result<u64, ReadError> {
    if memmem::find_iter(bytes, b"PK\x01\x02").take(MAX_PARTS + 1).count() > MAX_PARTS {
        return Err(ReadError::WorkbookTooLarge);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    check_kind(&archive)?;
    let mut declared = 0_u64;
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(damaged)?;
        declared = declared.saturating_add(part.size());
    }
    if declared > MAX_UNPACKED_BYTES {
        return Err(ReadError::WorkbookTooLarge);
    }
    let (mut left, mut largest) = (MAX_UNPACKED_BYTES, 1);
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(damaged)?;
        let has_texts = part.name().map_err(damaged)?.to_lowercase().ends_with("sharedstrings.xml");
        let mut limited = (&mut part).take(left + 1);
        let size = match has_texts {
            true => check_shared_strings(limited, declared)?,
            false => std::io::copy(&mut limited, &mut std::io::sink()).map_err(damaged)?,
        };
        left = left.checked_sub(size).ok_or(ReadError::WorkbookTooLarge)?;
        largest = largest.max(size);
    }
    Ok(MAX_UNPACKED_BYTES / largest + 4)
}

fn check_kind(archive: &ZipArchive<Cursor<&[u8]>>) -> Result<(), ReadError> {
    let names = archive.file_names_raw().map(|name| String::from_utf8_lossy(name).to_lowercase());
    let names: Vec<_> = names.collect();
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    if has("workbook.bin") {
        return Err(ReadError::UnsupportedWorkbook { kind: "an Excel binary workbook (.xlsb)" });
    }
    if has("content.xml") {
        return Err(ReadError::UnsupportedWorkbook { kind: "an OpenDocument file, such as .ods" });
    }
    match names.iter().any(|name| name.contains("worksheets")) {
        true => Ok(()),
        false => Err(ReadError::Archive),
    }
}

/// Reads the part with the texts of all sheets, and returns its size in bytes. Calamine keeps
/// these texts in memory, and reserves room for as many as the part claims to have: a number
/// that is wrong would end the process.
fn check_shared_strings(part: impl Read, declared: u64) -> Result<u64, ReadError> {
    let mut content = Vec::with_capacity(declared.min(MAX_BYTES as u64) as usize + 1);
    let size = part.take(MAX_BYTES as u64 + 1).read_to_end(&mut content).map_err(damaged)?;
    if size > MAX_BYTES {
        return Err(ReadError::WorkbookTooLarge);
    }
    for at in memmem::find_iter(&content, b"uniqueCount") {
        let value = content[at..].iter().skip_while(|byte| !matches!(byte, b'"' | b'\'')).skip(1);
        let value = value.take_while(|byte| !matches!(byte, b'"' | b'\''));
        let digits: String =
            value.filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
        if !digits.is_empty() && !digits.parse().is_ok_and(|count: usize| count <= MAX_TEXTS) {
            return Err(damaged("it claims to have more texts than fit into it"));
        }
    }
    Ok(size as u64)
}

fn read_workbook(
    bytes: &[u8],
    chosen: Option<&str>,
    max_sheets: u64,
) -> Result<Workbook, ReadError> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut sheets = workbook.sheets_metadata().to_vec();
    sheets.retain(|sheet| sheet.typ == SheetType::WorkSheet);
    let names: Vec<String> = sheets.iter().map(|sheet| sheet.name.clone()).collect();
    if let Some(chosen) = chosen {
        if !names.iter().any(|name| name == chosen) {
            return Err(ReadError::UnknownSheet { name: chosen.to_owned(), found: names });
        }
        let rows = read_sheet(&mut workbook, chosen)?;
        return match rows.is_empty() {
            true => Err(ReadError::Empty),
            false => Ok(Workbook { sheets: names, sheet: chosen.to_owned(), rows }),
        };
    }
    // Nobody expects a hidden sheet to be read as long as there is another one.
    sheets.sort_by_key(|sheet: &Sheet| sheet.visible != SheetVisible::Visible);
    for (Sheet { name, .. }, _) in sheets.into_iter().zip(0..max_sheets) {
        let rows = read_sheet(&mut workbook, &name)?;
        if !rows.is_empty() {
            return Ok(Workbook { sheets: names, sheet: name, rows });
        }
    }
    Err(ReadError::Empty)
}

fn read_sheet(workbook: &mut Xlsx<Cursor<&[u8]>>, name: &str) -> Result<SheetRows, ReadError> {
    let mut cells = workbook.worksheet_cells_reader(name).map_err(damaged)?;
    let formats: Vec<Option<String>> = cells
        .styles()
        .iter()
        .map(|style| style.number_format.as_ref().map(|format| format.format_code.clone()))
        .collect();
    let mut rows = SheetRows::with_capacity(MAX_BYTES);
    loop {
        let (cell, style) = match cells.next_cell_with_style_id() {
            Ok(Some(cell)) => cell,
            Ok(None) => return Ok(rows),
            // An error value of a newer Excel, such as #SPILL!, is like no value.
            Err(XlsxError::CellError(_)) => continue,
            Err(error) => return Err(damaged(error)),
        };
        let format = formats.get(style).and_then(Option::as_deref);
        let text = cell_text(cell.get_value(), format);
        if is_blank(&text) {
            continue;
        }
        let (row, column) = cell.get_position();
        let (row, column) = (row.saturating_add(1), column as usize);
        if column >= MAX_CELLS {
            return Err(ReadError::TooManyCells { line: row.into() });
        }
        rows.push(row, column, &text);
        if rows.row_count() > MAX_SHEET_ROWS {
            return Err(ReadError::TooManyRows { line: row.into() });
        }
        if rows.cell_count() > MAX_SHEET_CELLS || rows.text_bytes() > MAX_BYTES {
            return Err(ReadError::WorkbookTooLarge);
        }
    }
}

fn damaged(cause: impl ToString) -> ReadError {
    ReadError::DamagedWorkbook { cause: cause.to_string() }
}
