//! Shopify product exports. The rows of one `Handle` follow each other: the first has the
//! product and its first variant, each other one a further variant or image.
//! Source: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

mod handle_group;

use super::{
    ReadError,
    cell_text::truncate,
    findings::Findings,
    format_reader::FormatReader,
    header::{Column, Header},
    row::{ErrorReported, Row},
};
use contract::product::Product;
use handle_group::{HandleGroup, ReportedColumns, VariantDraft};
use std::collections::{BTreeSet, HashMap};

/// Returns whether this is the header of a Shopify export. Exports up to 2024 have the
/// columns `Handle` and `Variant Price`; later ones `URL handle` and `Price`.
pub(super) fn is_header(header: &Header) -> bool {
    let option = header.has_column("option1 value");
    let old = header.has_column("handle") && (header.has_column("variant price") || option);
    let new = header.has_column("url handle") && (header.has_column("price") || option);
    old || new
}

pub(super) struct ShopifyReader {
    handle: Column,
    title: Column,
    price: Column,
    sku: Option<Column>,
    description: Option<Column>,
    vendor: Option<Column>,
    image: Option<Column>,
    options: Vec<Column>,
    groups: Vec<HandleGroup>,
    group_by_handle: HashMap<String, usize>,
}

impl ShopifyReader {
    pub(super) fn new(header: &Header) -> Result<Self, ReadError> {
        Ok(Self {
            handle: header.require_column(&["handle", "url handle"])?,
            title: header.require_column(&["title"])?,
            price: header.require_column(&["variant price", "price"])?,
            sku: header.find_column(&["variant sku", "sku"])?,
            description: header.find_column(&["body (html)", "body html", "description"])?,
            vendor: header.find_column(&["vendor"])?,
            image: header.find_column(&["image src", "product image url"])?,
            options: header.columns_where(|key| {
                matches!(key, "option1 value" | "option2 value" | "option3 value")
            }),
            groups: Vec::new(),
            group_by_handle: HashMap::new(),
        })
    }

    fn variant_title(&self, row: &Row<'_>) -> String {
        let options = self.options.iter().map(|column| row.cell(column));
        options.filter(|option| !option.is_empty()).collect::<Vec<_>>().join(" / ")
    }

    fn is_variant_row(&self, row: &Row<'_>) -> bool {
        let columns = self.options.iter().chain(&self.sku).chain([&self.price]);
        columns.into_iter().any(|column| !row.cell(column).is_empty())
    }

    /// Returns the group that a row continues or starts. A row without a group is bad, or
    /// only an image. A bad row without a title is a variant separated from its product,
    /// which is then incomplete and marked as bad too.
    fn group_for_row(&mut self, row: &Row<'_>, findings: &mut Findings) -> Option<usize> {
        let handle = row.cell(&self.handle);
        let last = self.groups.len().checked_sub(1);
        let affected_group = if handle.is_empty() {
            row.report_error(&self.handle, "the handle is missing", findings);
            last
        } else {
            let Some(group) = self.group_by_handle.get(handle).copied() else {
                return Some(self.start_group(handle, row));
            };
            let existing = self.groups.get_mut(group)?;
            if last == Some(group) {
                existing.row_count += 1;
                return Some(group);
            }
            let first = existing.line;
            if self.is_image_row(row) {
                return None;
            }
            let shown = truncate(handle, 64);
            let reason = format!(
                "the handle “{shown}” is already in line {first}: put its rows together, or give \
                 this product a handle of its own"
            );
            row.report_error(&self.handle, &reason, findings);
            Some(group)
        };
        if row.cell(&self.title).is_empty() {
            self.mark_bad_line(affected_group, row.line);
        }
        None
    }

    /// Returns whether the row only adds an image to its product.
    fn is_image_row(&self, row: &Row<'_>) -> bool {
        row.has_expected_width() && !self.is_variant_row(row) && row.cell(&self.title).is_empty()
    }

    fn start_group(&mut self, handle: &str, row: &Row<'_>) -> usize {
        self.groups.push(HandleGroup {
            handle: handle.to_owned(),
            line: row.line,
            row_count: 1,
            title: String::new(),
            description: row.optional_text(self.description.as_ref()),
            vendor: row.optional_text(self.vendor.as_ref()),
            image: row.optional_text(self.image.as_ref()),
            drafts: Vec::new(),
            bad_lines: BTreeSet::new(),
        });
        let index = self.groups.len() - 1;
        self.group_by_handle.insert(handle.to_owned(), index);
        index
    }

    fn mark_bad_line(&mut self, group: Option<usize>, line: u64) {
        if let Some(group) = group.and_then(|index| self.groups.get_mut(index)) {
            group.bad_lines.insert(line);
        }
    }

    fn read_variant(
        &self,
        row: &Row<'_>,
        findings: &mut Findings,
    ) -> Result<VariantDraft, ErrorReported> {
        let title = self.variant_title(row);
        let title_check = match self.options.first() {
            Some(column) => row.validate_title(&title, column, findings),
            None => Ok(()),
        };
        let sku = row.sku(self.sku.as_ref(), findings);
        let price = row.price(&self.price, findings);
        title_check?;
        Ok(VariantDraft { line: row.line, sku: sku?, title, price: price? })
    }
}

impl FormatReader for ShopifyReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let is_valid = row.validate(findings).is_ok();
        let Some(index) = self.group_for_row(row, findings) else { return };
        if !is_valid {
            return self.mark_bad_line(Some(index), row.line);
        }
        let is_first = self.groups.get(index).is_some_and(|group| group.line == row.line);
        let title = match is_first {
            true => row.title(&self.title, findings).map(Some),
            false => Ok(None),
        };
        let draft = match is_first || self.is_variant_row(row) {
            true => self.read_variant(row, findings).map(Some),
            false => Ok(None),
        };
        let Some(group) = self.groups.get_mut(index) else { return };
        if title.is_err() || draft.is_err() {
            group.bad_lines.insert(row.line);
        }
        if let Ok(Some(title)) = title {
            group.title = title;
        }
        group.drafts.extend(draft.ok().flatten());
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product> {
        let Self { handle, sku, options, mut groups, .. } = *self;
        let columns =
            ReportedColumns { handle: &handle, sku: sku.as_ref(), option: options.first() };
        // SKUs given in the file take precedence over derived ones.
        for (index, group) in groups.iter_mut().enumerate() {
            group.claim_given_skus(index, &columns, findings);
        }
        let groups = groups.into_iter().enumerate();
        groups.filter_map(|(index, group)| group.finish(index, &columns, findings)).collect()
    }
}
