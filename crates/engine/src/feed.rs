//! Reader of product feeds: files of products that people upload.
//!
//! [`read`] is pure. It takes a whole file and returns its products, every row that can't
//! be uploaded with line, column and reason, and notes on what it decided for the user. A
//! file that can't be read at all is a [`ReadError`].
//!
//! What only a person can decide is a question in the [`Feed`], with the option that answers
//! it; such a file can't be launched yet.
//!
//! A file goes through these steps. Only the first ones know what kind of file it is:
//!
//! ```text
//! bytes ─ gzip ─┬─ workbook ─ sheet ─────────────────────────┬─ table ─ layout ─ format_reader ─ Feed
//!               └─ encoding ─ delimiter ─ records (quoting) ─┘
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | [`gzip`] | unpacks compressed files |
//! | [`content`] | tells workbooks from texts, and rejects other files |
//! | [`workbook`], [`sheet`], [`sheet_cell`] | the rows of an Excel sheet, and its cells as text |
//! | [`encoding`] | decodes bytes to text, or reports why they are not text |
//! | [`delimiter`] | detects what separates the cells of a text |
//! | [`records`], [`quoting`] | split a text into records with their lines, also damaged ones |
//! | [`table`] | header and rows of a text or a sheet |
//! | [`read_ahead`] | reads rows in a thread of its own |
//! | [`cell_text`] | the text of one cell, and the `'` before possible formulas |
//! | [`header`], [`column_name`] | the columns, and their names in comparable form |
//! | [`sample`] | the first rows, from which the format is recognised |
//! | [`layout`], [`field_names`] | assigns columns to fields by their names |
//! | [`candidates`] | columns that may have a field that was not recognised |
//! | [`row`] | the cells of one row, and rules for SKUs and titles |
//! | [`format_reader`] | detects the format |
//! | [`parents`], [`woocommerce`] | formats in which variants name their product |
//! | [`handles`], [`shopify`], [`google`], [`vendure`], [`medusa`] | formats in which rows share a handle |
//! | [`text_list`] | lists of values in one cell |
//! | [`details`], [`variant_options`] | what a row says besides SKU, title and price |
//! | [`amount`], [`currency`], [`prices`], [`sale_period`] | prices |
//! | [`publication`] | products that must not be sold |
//! | [`sku`], [`variant_skus`] | rules for SKUs, and SKUs derived where a file has none |
//! | [`findings`] | collects bad rows, left-out rows, notes and SKUs in use |
//! | [`text_keys`] | keys that stand for texts |
//! | [`left_out_rows`] | the rows that are left out, with their cells |
//! | [`failed_csv`], [`left_out_csv`](mod@left_out_csv) | write files to correct and upload again |
//! | [`read_error`] | reasons why a file can't be read at all |

mod amount;
mod candidates;
mod cell_text;
mod column_name;
mod content;
mod currency;
mod delimiter;
mod details;
mod encoding;
mod failed_csv;
mod field_names;
mod findings;
mod format_reader;
mod google;
mod gzip;
mod handles;
mod header;
mod layout;
mod left_out_csv;
mod left_out_rows;
mod medusa;
mod parents;
mod prices;
mod publication;
mod quoting;
mod read_ahead;
mod read_error;
mod records;
mod row;
mod sale_period;
mod sample;
mod sheet;
mod sheet_cell;
mod shopify;
mod sku;
mod table;
#[cfg(test)]
mod tests;
mod text_keys;
mod text_list;
mod variant_options;
mod variant_skus;
mod vendure;
mod woocommerce;
mod workbook;

pub use amount::read_price;
pub use contract::feed::{
    BadRow, ColumnInfo, DecimalSeparator, Delimiter, Encoding, FeedNote, Format, LeftOut, Question,
    ReadOptions, SalePrices,
};
pub use failed_csv::failed_rows_csv;
pub use left_out_csv::left_out_csv;
pub use left_out_rows::{LeftOutRows, read_with_left_out};
pub use read_error::ReadError;

use content::Content;
use contract::{
    feed::{MissingField, QuestionSubject},
    product::Product,
};
use findings::Findings;
use header::Header;
use layout::Layout;
use prices::Rules;
use sample::Sample;
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// Detected format.
    pub format: Format,
    /// Detected delimiter; a comma if the file is a workbook.
    pub delimiter: Delimiter,
    /// Detected or chosen encoding; UTF-8 if the file is a workbook.
    pub encoding: Encoding,
    /// Names of a workbook's sheets; empty for other files.
    pub sheets: Vec<String>,
    /// Sheet that was read, if the file is a workbook.
    pub sheet: Option<String>,
    /// Digest of the names of the columns, by which a choice of columns can be remembered for
    /// files with the same header.
    pub header_digest: String,
    /// Columns, and what they are taken for.
    pub columns: Vec<ColumnInfo>,
    /// Separator of the prices' decimals; `None` if no price has decimals, if each price can be
    /// read in one way only, or if it is in question.
    pub decimal: Option<DecimalSeparator>,
    /// Currency of the prices, as ISO 4217 code, if the file says which.
    pub currency: Option<String>,
    /// Reduced prices, if the file has some.
    pub sale_prices: Option<SalePrices>,
    /// Questions that must be answered before the file can be uploaded. As long as the decimal
    /// separator is in question, the prices of [`products`](Self::products) are provisional.
    pub questions: Vec<Question>,
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
    /// Rows that are left out by rule, such as drafts.
    pub left_out: LeftOut,
    /// All rows that are not uploaded when bad rows are left out: bad ones, valid ones of
    /// products with a bad row, and those that are left out by rule.
    pub all_left_out: LeftOut,
    /// The first 100 notes by line.
    pub notes: Vec<FeedNote>,
    /// Number of all notes.
    pub notes_total: u64,
}

/// Reads a product file: an Excel workbook, or a text in UTF-8, UTF-16 or a common encoding of
/// one byte a letter, whose cells are separated by commas, semicolons, tabs or pipes. A text may
/// be compressed by gzip, and lines may precede the header. The format is recognised from the
/// header and the first rows:
///
/// - a plain list with one product or variant per row, with names of columns in many languages.
///   A row whose `parent` has the SKU of another row is a variant of it.
/// - a Shopify or Medusa export: one product per `Handle`. Its SKU is that of its only variant,
///   or the handle when it has several; its price is the lowest.
/// - a WooCommerce export in any language: variations are grouped under their parent, whose SKU
///   the product keeps; its price is the lowest.
/// - a Google Merchant feed: rows with one `item_group_id` are one product.
/// - a file for Vendure's importer.
///
/// A bad row excludes its whole product, never a part of it. `now` is UTC, in ms since 1970: it
/// decides which reduced prices are in force.
///
/// # Errors
///
/// [`ReadError`] if the file is no table, a column that `options` name doesn't exist, prices are
/// in two currencies, or the file exceeds [`MAX_BYTES`] or [`MAX_ROWS`].
pub fn read(bytes: &[u8], options: &ReadOptions, now: i64) -> Result<Feed, ReadError> {
    Ok(read_rows(bytes, options, now)?.0)
}

/// Returns the content of a file, and why each row is left out that is not uploaded.
fn read_rows(
    bytes: &[u8],
    options: &ReadOptions,
    now: i64,
) -> Result<(Feed, left_out_rows::Reasons), ReadError> {
    let unpacked = gzip::unpack(bytes)?;
    let content = Content::open(&unpacked, options)?;
    let mut table = Table::open(&content)?;
    table.find_header(|header| format_reader::is_header(header, &options.map))?;
    let sample = Sample::take(&mut table)?;
    table.rewind();
    if sample.is_empty() {
        return Err(ReadError::HeaderOnly);
    }
    let header = table.header();
    if header.columns().filter(|(column, _)| !column.name.is_empty()).count() < 2 {
        return Err(ReadError::UnknownHeader { found: header.names_for_error() });
    }
    let (layout, missing) = format_reader::recognize(header, &sample, &options.map)?;
    let mut feed = Feed {
        format: layout.format,
        delimiter: table.delimiter(),
        encoding: content.encoding(),
        sheets: content.sheets().to_vec(),
        sheet: content.sheet().map(str::to_owned),
        header_digest: header.digest(),
        columns: describe_columns(header, &layout, &sample),
        ..Feed::default()
    };
    if !missing.is_empty() {
        feed.questions.push(columns_question(missing));
        feed.row_count = count_rows(&mut table)?;
        return Ok((feed, left_out_rows::Reasons::new()));
    }
    let mut findings = Findings::default();
    let header_line = header.line;
    if let Some(currency) = layout.currency {
        findings.prices.add_currency(currency, header_line);
    }
    let is_own_file = layout.is_own_file;
    let mut reader = format_reader::create_reader(layout, table.max_rows());
    drop(sample);
    read_ahead::for_each_row(&mut table, |row| {
        feed.row_count += 1;
        check_row_count(feed.row_count, row.line)?;
        reader.add_row(row, &mut findings);
        Ok(())
    })?;
    // What is read needs no copy of the file any more, while products need further room.
    drop(table);
    drop(content);
    drop(unpacked);
    if let Some([first, second]) = findings.prices.conflict() {
        return Err(ReadError::MixedCurrencies { first, second });
    }
    feed.decimal = findings.prices.decimal(options.decimal);
    let rules = Rules::new(options, feed.decimal, is_own_file, now);
    feed.products = reader.finish(&rules, &mut findings);
    feed.add_currency(&mut findings);
    Ok(feed.finish(options, header_line, findings))
}

impl Feed {
    fn add_currency(&mut self, findings: &mut Findings) {
        let Some((currency, line)) = findings.prices.currency() else { return };
        let code = currency.code;
        if !currency.is_certain() {
            let text = format!("the currency is taken for {code}; its sign has several meanings");
            findings.add_note(line, text);
        }
        for product in &mut self.products {
            product.currency = Some(code.to_owned());
        }
        self.currency = Some(code.to_owned());
    }

    fn finish(
        mut self,
        options: &ReadOptions,
        header_line: u64,
        mut findings: Findings,
    ) -> (Self, left_out_rows::Reasons) {
        let prices = &findings.prices;
        let decimal = prices.question(self.decimal);
        self.questions.extend(decimal);
        self.questions.extend(findings.zero_price_question(options.zero_price));
        self.sale_prices = prices.sale_prices(options.price_choice());
        let mut notes = prices.sale_notes(options.price_choice());
        if prices.is_mixed() && options.decimal.is_none() {
            let text = "some prices have a decimal comma and others a decimal point: each is read \
                        in the only way it can be meant";
            notes.push((header_line, text.to_owned()));
        }
        notes.into_iter().for_each(|(line, text)| findings.add_note(line, text));
        self.variant_count = self.products.iter().map(|p| p.variants.len() as u64).sum();
        self.left_out = findings.left_out();
        let all_left_out = findings.all_left_out();
        all_left_out.values().for_each(|row| self.all_left_out.push(row.clone()));
        (self.bad_rows, self.bad_rows_total) = findings.take_bad_rows(MAX_BAD_ROWS_LISTED);
        (self.notes, self.notes_total) = findings.take_notes(MAX_NOTES_LISTED);
        (self, all_left_out)
    }
}

fn check_row_count(count: u64, line: u64) -> Result<(), ReadError> {
    if count > MAX_ROWS { Err(ReadError::TooManyRows { line }) } else { Ok(()) }
}

fn count_rows(table: &mut Table<'_>) -> Result<u64, ReadError> {
    let mut count = 0;
    while let Some(row) = table.next_row()? {
        count += 1;
        check_row_count(count, row.line)?;
    }
    Ok(count)
}

fn describe_columns(header: &Header, layout: &Layout, sample: &Sample) -> Vec<ColumnInfo> {
    let columns = header.columns().map(|(column, _)| ColumnInfo {
        position: u32::try_from(column.index + 1).unwrap_or(u32::MAX),
        examples: sample.examples(column.index),
        field: layout.field_of(column.index),
        name: column.name,
    });
    columns.collect()
}

fn columns_question(missing: Vec<MissingField>) -> Question {
    let names: Vec<_> = missing.iter().map(|missing| missing.field.name()).collect();
    let example: Vec<_> = missing
        .iter()
        .map(|MissingField { field, candidates }| {
            let column = candidates.first().map_or("…", String::as_str);
            format!("{field}:{column}")
        })
        .collect();
    let names = match names.as_slice() {
        [one] => (*one).to_owned(),
        [one, other] => format!("{one} and the {other}"),
        all => all.join(", the "),
    };
    let text = format!("Which column has the {names}? For example: map={}", example.join(","));
    Question {
        subject: QuestionSubject::Columns { missing },
        text,
        parameter: "map".to_owned(),
        answers: Vec::new(),
    }
}
