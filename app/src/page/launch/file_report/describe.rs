//! Sentences about a file that was read.

use super::{
    FileCounts, FileReport, LeftOutReport, NoteList, PreviewRow, ReportedRow, RowList,
    columns::column_form, questions,
};
use crate::labels;
use contract::{
    api::DryRun,
    feed::{DecimalSeparator, Encoding, Format, ReadOptions},
    product::Product,
};
use engine::engine::{RememberedColumns, columns_by_position};

/// Maximum number of bad rows that are listed. All of them are counted.
const MAX_LISTED_BAD_ROWS: usize = 10;
/// Maximum number of left-out rows that are listed.
const MAX_LISTED_LEFT_OUT: usize = 50;

/// A file that was read, and how.
#[derive(Debug)]
pub struct ReadFile {
    pub run: DryRun,
    /// Options that it was read with.
    pub options: ReadOptions,
    /// Columns that were chosen for an earlier file, if they are in effect.
    pub remembered: Option<RememberedColumns>,
    /// Why an answer of the person could not be used.
    pub problem: Option<String>,
}

impl From<ReadFile> for FileReport {
    fn from(ReadFile { run, mut options, remembered, problem }: ReadFile) -> Self {
        options.map = columns_by_position(&options.map, &run.columns);
        let counts = FileCounts {
            questions: run.questions.len() as u64,
            products: run.products,
            rows: run.rows,
            bad_rows: run.bad_row_count,
            left_out: run.left_out.total,
        };
        Self {
            summary: summary(&run),
            problem,
            encoding: questions::encoding(&run, &options),
            sheet: questions::sheet(&run),
            columns: column_form(&run, &options, remembered.as_ref()),
            map: options.map.to_string(),
            decimal: questions::decimal(&run, &options),
            zero_price: questions::zero_price(&run, &options),
            price: questions::price(&run),
            drafts: questions::drafts(&run, &options),
            bad_rows: bad_rows(&run),
            left_out: left_out(&run),
            notes: notes(&run),
            preview: run.preview.into_iter().map(preview_row).collect(),
            file: run.file,
            counts,
        }
    }
}

fn summary(run: &DryRun) -> String {
    let is_workbook = !run.sheets.is_empty();
    let mut words = match run.format {
        Format::Plain if is_workbook => "plain list".to_owned(),
        format => format.name().to_owned(),
    };
    match &run.sheet {
        Some(sheet) => words.push_str(&format!(" in the sheet “{sheet}” of a workbook")),
        None => {
            if run.encoding != Encoding::Utf8 {
                words.push_str(&format!(" in {}", run.encoding.name()));
            }
            words.push_str(&format!(", {} between cells", run.delimiter.name()));
        }
    }
    words.push_str(&format!(
        ": {} from {}",
        labels::count_noun(run.products, "product"),
        labels::count_noun(run.rows, "row")
    ));
    if run.variants > 0 {
        words.push_str(&format!(", with {}", labels::count_noun(run.variants, "variant")));
    }
    words.push('.');
    let decimal = run.decimal.map(|separator| match separator {
        DecimalSeparator::Comma => "have a decimal comma",
        DecimalSeparator::Point => "have a decimal point",
    });
    let currency = run.currency.as_ref().map(|currency| format!("are in {currency}"));
    match (decimal, currency) {
        (Some(decimal), Some(currency)) => {
            words.push_str(&format!(" Prices {decimal} and {currency}."));
        }
        (Some(decimal), None) => words.push_str(&format!(" Prices {decimal}.")),
        (None, Some(currency)) => words.push_str(&format!(" Prices {currency}.")),
        (None, None) => {}
    }
    words
}

fn bad_rows(run: &DryRun) -> RowList {
    let rows = run.bad_rows.iter().take(MAX_LISTED_BAD_ROWS);
    let rows = rows.map(|row| reported_row(row.line, row.column.as_deref(), &row.reason));
    let nothing = if run.products == 0 && run.questions.is_empty() {
        " There is nothing to upload."
    } else {
        ""
    };
    row_list(
        format!("{} can't be uploaded.{nothing}", labels::count_noun(run.bad_row_count, "row")),
        rows.collect(),
        run.bad_row_count,
    )
}

fn left_out(run: &DryRun) -> LeftOutReport {
    let rows = run.left_out.rows.iter().take(MAX_LISTED_LEFT_OUT);
    let rows = rows.map(|row| reported_row(row.line, row.column.as_deref(), &row.reason));
    let counts: Vec<_> = run.left_out.by_kind.iter().map(questions::count_of_kind).collect();
    let verb = if run.left_out.total == 1 { "is" } else { "are" };
    let title = format!(
        "{} {verb} left out: {}",
        labels::count_noun(run.left_out.total, "row"),
        labels::enumerate(&counts)
    );
    let with_lines = run.left_out.by_kind.iter().zip(&counts);
    LeftOutReport {
        kinds: with_lines
            .map(|(kind, count)| {
                format!("{count}: {}", labels::line_numbers(&kind.lines, kind.count))
            })
            .collect(),
        list: row_list(title, rows.collect(), run.left_out.total),
    }
}

fn row_list(title: String, rows: Vec<ReportedRow>, total: u64) -> RowList {
    RowList { title, more: total.saturating_sub(rows.len() as u64), rows }
}

fn reported_row(line: u64, column: Option<&str>, reason: &str) -> ReportedRow {
    let column = column.unwrap_or("whole row").to_owned();
    ReportedRow { line, column, reason: reason.to_owned() }
}

fn notes(run: &DryRun) -> NoteList {
    let (listed, total) = (run.notes.len() as u64, run.note_count);
    let count = if total > listed {
        format!("{} of {}", labels::group_thousands(listed), labels::count_noun(total, "note"))
    } else {
        labels::count_noun(listed, "note")
    };
    NoteList {
        title: format!("{count} on how the file was read"),
        notes: run.notes.iter().map(|note| format!("Line {}: {}", note.line, note.text)).collect(),
    }
}

fn preview_row(product: Product) -> PreviewRow {
    let currency = product.currency.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    let money = |price| format!("{}{currency}", labels::price(price));
    let mut details = Vec::new();
    if !product.variants.is_empty() {
        details.push(labels::count_noun(product.variants.len() as u64, "variant"));
    }
    if !product.status.is_active() {
        details.push("draft".into());
    }
    PreviewRow {
        price: money(product.price),
        compare_at_price: product.compare_at_price.map(money),
        sku: product.sku,
        title: product.title,
        detail: details.join(", "),
    }
}
