//! Reader of product feeds: CSV files of products that people upload.
//!
//! [`read`] is pure. It takes a whole file and returns its products, every row that can't
//! be uploaded with line, column and reason, and notes on what it decided for the user. A
//! file that can't be read at all is a [`ReadError`].
//!
//! | module | contents |
//! | --- | --- |
//! | [`encoding`] | decodes bytes to text, or reports why they are not text |
//! | [`cell_text`] | the text of one cell, and the `'` before possible formulas |
//! | [`scanner`] | positions in a file, and unclosed quotes |
//! | [`table`] | splits text into a header and rows with their lines |
//! | [`header`] | finds columns by their names |
//! | [`row`] | the cells of one row, and rules for titles and prices |
//! | [`format_reader`] | detects the format from the header |
//! | [`variants`] | groups rows that name the product they are a variant of |
//! | [`plain`], [`shopify`], [`woocommerce`] | turn rows into products, one per format |
//! | [`findings`] | collects bad rows, notes and SKUs in use |
//! | [`sku`] | rules for SKUs, and SKUs derived where a file has none |
//! | [`failed_csv`] | writes products to a file that can be uploaded again |
//! | [`read_error`] | reasons why a file can't be read at all |

mod cell_text;
mod encoding;
mod failed_csv;
mod findings;
mod format_reader;
mod header;
mod plain;
mod read_error;
mod row;
mod scanner;
mod shopify;
mod sku;
mod table;
#[cfg(test)]
mod tests;
mod variants;
mod woocommerce;

pub use contract::feed::{BadRow, Delimiter, FeedNote, Format};
pub use failed_csv::failed_rows_csv;
pub use read_error::ReadError;

use contract::product::Product;
use findings::Findings;
use table::Table;

/// Maximum size of a file, in bytes: 32 MiB.
pub const MAX_BYTES: usize = 32 << 20;
/// Maximum number of data rows of a file.
pub const MAX_ROWS: u64 = 100_000;
/// Maximum number of bad rows that a [`Feed`] lists; it counts them all.
pub const MAX_BAD_ROWS_LISTED: usize = 1_000;
/// Maximum number of notes that a [`Feed`] lists; it counts them all.
pub const MAX_NOTES_LISTED: usize = 100;

/// Content of a product file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Detected format.
    pub format: Format,
    /// Detected delimiter.
    pub delimiter: Delimiter,
    /// Number of data rows, without the header and blank rows.
    pub row_count: u64,
    /// Products that can be uploaded, in the order of the file. SKUs are unique.
    pub products: Vec<Product>,
    /// Number of variants of all [`products`](Self::products).
    pub variant_count: u64,
    /// The first 1,000 bad rows by line, each once.
    pub bad_rows: Vec<BadRow>,
    /// Number of all bad rows.
    pub bad_rows_total: u64,
    /// The first 100 notes by line.
    pub notes: Vec<FeedNote>,
    /// Number of all notes.
    pub notes_total: u64,
}

/// Reads a product file: UTF-8 (a byte order mark is allowed), with cells separated by
/// commas, semicolons or tabs, in one of three formats that are detected from the header:
///
/// - plain, `sku,title,price[,description,vendor,image,parent]`: one product per
///   row. A row whose `parent` has the SKU of another row is a variant of it.
/// - a Shopify export: one product per `Handle`. Its SKU is that of its only
///   variant, or the handle when it has several; its price is the lowest.
/// - a WooCommerce export: variations are grouped under their parent, whose
///   SKU the product keeps; its price is the lowest.
///
/// A bad row excludes its whole product, never a part of it.
///
/// # Errors
///
/// [`ReadError`] if the file is not CSV, its header is not that of a product file, or it
/// exceeds [`MAX_BYTES`] or [`MAX_ROWS`].
pub fn read(bytes: &[u8]) -> Result<Feed, ReadError> {
    let mut table = Table::open(encoding::decode(bytes)?)?;
    let (format, mut reader) = format_reader::detect_format(table.header())?;
    let delimiter = table.delimiter();
    let mut findings = Findings::default();
    let mut rows = 0;
    while let Some(row) = table.next_row()? {
        rows += 1;
        if rows > MAX_ROWS {
            return Err(ReadError::TooManyRows { line: row.line });
        }
        reader.add_row(&row, &mut findings);
    }
    if rows == 0 {
        return Err(ReadError::HeaderOnly);
    }
    let products = reader.finish(&mut findings);
    let variants = products.iter().map(|product| product.variants.len() as u64).sum();
    let (bad, bad_total) = findings.take_bad_rows(MAX_BAD_ROWS_LISTED);
    let (notes, notes_total) = findings.take_notes(MAX_NOTES_LISTED);
    Ok(Feed {
        format,
        delimiter,
        row_count: rows,
        products,
        variant_count: variants,
        bad_rows: bad,
        bad_rows_total: bad_total,
        notes,
        notes_total,
    })
}
