//! Writes left-out rows to a file that can be corrected and uploaded again.

use super::{BadRow, cell_text::escape_formula};
use std::io;

/// Name of the column with the reason, which a reader of the file ignores.
const REASON_COLUMN: &str = "left out because";

/// Writes rows of a file as CSV: UTF-8 without a byte order mark, lines ended by CRLF, with
/// the columns of the original file and the reason in the last one. A reason that an
/// earlier such file has is replaced. A cell that a spreadsheet could take for a formula
/// gets a leading `'`, which [`read`](super::read) removes. A large file is written in
/// chunks, the first one with the header.
///
/// # Errors
/// None in practice: the file is written to memory.
pub fn left_out_csv(
    header: &[String],
    with_header: bool,
    rows: impl IntoIterator<Item = (BadRow, Vec<String>)>,
) -> io::Result<Vec<u8>> {
    let mut out = csv::WriterBuilder::new()
        .flexible(true)
        .terminator(csv::Terminator::CRLF)
        .from_writer(vec![]);
    let old_reason = header.iter().position(|name| name == REASON_COLUMN);
    let write_row = |out: &mut csv::Writer<Vec<u8>>, cells: &[String], reason: &str| {
        let padding = header.len().saturating_sub(cells.len());
        let cells = cells.iter().map(String::as_str).chain(std::iter::repeat_n("", padding));
        let kept = cells.enumerate().filter(|(index, _)| Some(*index) != old_reason);
        let cells = kept.map(|(_, cell)| cell).chain([reason]);
        out.write_record(cells.map(escape_formula).map(|cell| cell.as_bytes().to_vec()))
    };
    if with_header {
        write_row(&mut out, header, REASON_COLUMN)?;
    }
    for (row, cells) in rows {
        let reason = match &row.column {
            Some(column) => format!("{column}: {}", row.reason),
            None => row.reason.clone(),
        };
        write_row(&mut out, &cells, &reason)?;
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn the_file_has_the_original_columns_and_one_reason() {
        let bad = |column: Option<&str>| BadRow {
            line: 3,
            column: column.map(str::to_owned),
            reason: "the price is missing".into(),
        };
        let header = texts(&["sku", "price"]);
        let rows = [(bad(Some("price")), texts(&["=1+1"])), (bad(None), texts(&["L-2", "5", "6"]))];
        let csv = String::from_utf8(left_out_csv(&header, true, rows).unwrap()).unwrap();
        let expected = "sku,price,left out because\r\n\
                        '=1+1,,price: the price is missing\r\n\
                        L-2,5,6,the price is missing\r\n";
        assert_eq!(csv, expected);

        let header = texts(&["sku", "left out because", "price"]);
        let rows = [(bad(None), texts(&["L-1", "an old reason", "x"]))];
        let csv = String::from_utf8(left_out_csv(&header, false, rows).unwrap()).unwrap();
        assert_eq!(csv, "L-1,x,the price is missing\r\n");
    }
}
