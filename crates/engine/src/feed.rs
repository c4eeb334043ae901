//! The reader of product feeds: the CSV files of products that people upload.
//!
//! [`read`] is pure. It takes a whole file and tells every product in it,
//! every row that can't be uploaded with its line, column and reason, and what
//! it understood on the user's behalf. A file that can't be read at all is an
//! [`Unreadable`].
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`text`] | bytes to text, or why they are not text |
//! | [`cell`] | what one cell says, and the `'` before what looks like a formula |
//! | [`scan`] | where in a file a byte stands, and quotes left open |
//! | [`table`] | text to a header and rows with their lines |
//! | [`row`] | one row's cells, and what a title or a price may be |
//! | [`layout`] | which format a header is |
//! | [`family`] | rows that name the row they are a variant of |
//! | [`plain`], [`shopify`], [`woocommerce`] | rows to products, format by format |
//! | [`findings`] | bad rows, notes, and SKUs taken |
//! | [`sku`] | what a SKU may be, and SKUs made where a file has none |
//! | [`failed`] | products back to a file that can be uploaded again |

mod cell;
mod failed;
mod family;
mod findings;
mod header;
mod layout;
mod plain;
mod row;
mod scan;
mod shopify;
mod sku;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod unreadable;
mod woocommerce;

pub use contract::feed::{BadRow, Delimiter, Format, Note};
pub use failed::failed_rows_csv;
pub use unreadable::Unreadable;

use contract::product::Product;
use findings::Findings;
use table::Table;

/// The largest file that is read, in bytes: 32 MiB.
pub const MAX_BYTES: usize = 32 << 20;
/// The most data rows that a file may have.
pub const MAX_ROWS: u64 = 100_000;
/// How many bad rows a [`Feed`] lists; it counts them all.
pub const MAX_BAD_LISTED: usize = 1_000;
/// How many notes a [`Feed`] lists; it counts them all.
pub const MAX_NOTES_LISTED: usize = 100;

/// What a file of products says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub format: Format,
    pub delimiter: Delimiter,
    /// Data rows: without the header and without blank rows.
    pub rows: u64,
    /// What can be uploaded, in the order of the file. SKUs are unique.
    pub products: Vec<Product>,
    /// Variants of all [`products`](Self::products) together.
    pub variants: u64,
    /// The first 1,000 bad rows by line, each once.
    pub bad: Vec<BadRow>,
    pub bad_total: u64,
    /// The first 100 notes by line.
    pub notes: Vec<Note>,
    pub notes_total: u64,
}

/// Reads a file of products: UTF-8 (a byte order mark is allowed), cells
/// parted by commas, semicolons or tabs, in one of three formats that its
/// header line tells apart:
///
/// - plain, `sku,title,price[,description,vendor,image,parent]`: one product a
///   row. A row whose `parent` holds another row's SKU is a variant of it.
/// - a Shopify export: one product per `Handle`. Its SKU is that of its only
///   variant, or the handle when it has several; its price is the lowest.
/// - a WooCommerce export: variations are grouped under their parent, whose
///   SKU the product keeps; its price is the lowest.
///
/// A bad row leaves its whole product out, never half of one.
///
/// # Errors
///
/// [`Unreadable`] when no row can be told from another, the header is not one
/// of a product file, or the file is past [`MAX_BYTES`] or [`MAX_ROWS`].
pub fn read(bytes: &[u8]) -> Result<Feed, Unreadable> {
    let mut table = Table::open(text::decode(bytes)?)?;
    let (format, mut layout) = layout::recognise(table.header())?;
    let delimiter = table.delimiter();
    let mut findings = Findings::default();
    let mut rows = 0;
    while let Some(row) = table.next_row()? {
        rows += 1;
        if rows > MAX_ROWS {
            return Err(Unreadable::TooManyRows { line: row.line });
        }
        layout.row(&row, &mut findings);
    }
    if rows == 0 {
        return Err(Unreadable::HeaderOnly);
    }
    let products = layout.finish(&mut findings);
    let variants = products.iter().map(|product| product.variants.len() as u64).sum();
    let (bad, bad_total) = findings.bad_rows(MAX_BAD_LISTED);
    let (notes, notes_total) = findings.notes(MAX_NOTES_LISTED);
    Ok(Feed { format, delimiter, rows, products, variants, bad, bad_total, notes, notes_total })
}
