//! The rows that an upload leaves out, as they are in the file.

use super::{
    Feed, ReadError, ReadOptions, content::Content, format_reader::is_header, gzip, read_rows,
    table::Table,
};
use contract::feed::LeftOutRow;
use std::collections::BTreeMap;

/// Why rows are left out, by line.
pub(super) type Reasons = BTreeMap<u64, LeftOutRow>;

/// The rows of a file that an upload leaves out: bad rows, all rows of their products, and
/// those that are left out by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOutRows {
    /// Cells of the header.
    pub header: Vec<String>,
    /// The rows in the order of the file, each with its cells.
    pub rows: Vec<(LeftOutRow, Vec<String>)>,
}

/// Reads a file like [`read`](super::read), and returns with it the rows that an upload with
/// these options leaves out. The file is read a second time for them if there are some.
///
/// # Errors
/// The file can't be read; see [`read`](super::read).
pub fn read_with_left_out(
    bytes: &[u8],
    options: &ReadOptions,
    now: i64,
) -> Result<(Feed, LeftOutRows), ReadError> {
    let (feed, mut reasons) = read_rows(bytes, options, now)?;
    let mut left_out = LeftOutRows::default();
    if reasons.is_empty() {
        return Ok((feed, left_out));
    }
    let unpacked = gzip::unpack(bytes)?;
    let content = Content::open(&unpacked, options)?;
    let mut table = Table::open(&content)?;
    table.find_header(|header| is_header(header, &options.map))?;
    left_out.header = table.header().columns().map(|(column, _)| column.name).collect();
    while let Some(row) = table.next_row()? {
        if let Some(reason) = reasons.remove(&row.line) {
            let cells = row.cells.iter().map(|cell| cell.to_string()).collect();
            left_out.rows.push((reason, cells));
        }
    }
    Ok((feed, left_out))
}
