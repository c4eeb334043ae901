//! A Shopify product export. The rows of one `Handle` stand together: the
//! first has the product and its first variant, the others a variant or one
//! more image each.
//! Source: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

mod group;

use super::{
    Unreadable,
    cell::clipped,
    findings::Findings,
    header::{Column, Header},
    layout::Layout,
    row::{Faulty, Row},
};
use contract::product::Product;
use group::{Columns, Draft, Group};
use std::collections::{BTreeSet, HashMap};

/// Exports up to 2024 say `Handle` and `Variant Price`; later ones `URL handle`
/// and `Price`.
pub(super) fn is_header(header: &Header) -> bool {
    let option = header.has("option1 value");
    let old = header.has("handle") && (header.has("variant price") || option);
    let new = header.has("url handle") && (header.has("price") || option);
    old || new
}

pub(super) struct Shopify {
    handle: Column,
    title: Column,
    price: Column,
    sku: Option<Column>,
    description: Option<Column>,
    vendor: Option<Column>,
    image: Option<Column>,
    options: Vec<Column>,
    groups: Vec<Group>,
    by_handle: HashMap<String, usize>,
}

impl Shopify {
    pub(super) fn new(header: &Header) -> Result<Self, Unreadable> {
        Ok(Self {
            handle: header.need(&["handle", "url handle"])?,
            title: header.need(&["title"])?,
            price: header.need(&["variant price", "price"])?,
            sku: header.find(&["variant sku", "sku"])?,
            description: header.find(&["body (html)", "body html", "description"])?,
            vendor: header.find(&["vendor"])?,
            image: header.find(&["image src", "product image url"])?,
            options: header
                .all(|key| matches!(key, "option1 value" | "option2 value" | "option3 value")),
            groups: Vec::new(),
            by_handle: HashMap::new(),
        })
    }

    fn options(&self, row: &Row<'_>) -> String {
        let options = self.options.iter().map(|column| row.cell(column));
        options.filter(|option| !option.is_empty()).collect::<Vec<_>>().join(" / ")
    }

    fn is_variant(&self, row: &Row<'_>) -> bool {
        let columns = self.options.iter().chain(&self.sku).chain([&self.price]);
        columns.into_iter().any(|column| !row.cell(column).is_empty())
    }

    /// The group that a row goes on with, or a new one. A row that belongs to
    /// none is bad, or one more image. When it has no title it is a variant
    /// torn off its product, which would be half of one without it.
    fn group_of(&mut self, row: &Row<'_>, findings: &mut Findings) -> Option<usize> {
        let handle = row.cell(&self.handle);
        let last = self.groups.len().checked_sub(1);
        let torn_from = if handle.is_empty() {
            row.fault(&self.handle, "the handle is missing", findings);
            last
        } else {
            let Some(group) = self.by_handle.get(handle).copied() else {
                return Some(self.begin(handle, row));
            };
            let before = self.groups.get_mut(group)?;
            if last == Some(group) {
                before.rows += 1;
                return Some(group);
            }
            let first = before.line;
            if self.is_image(row) {
                return None;
            }
            let shown = clipped(handle, 64);
            let reason = format!(
                "the handle “{shown}” is already in line {first}: put its rows together, or give \
                 this product a handle of its own"
            );
            row.fault(&self.handle, &reason, findings);
            Some(group)
        };
        if row.cell(&self.title).is_empty() {
            self.blame(torn_from, row.line);
        }
        None
    }

    /// Whether the row only adds an image to its product.
    fn is_image(&self, row: &Row<'_>) -> bool {
        row.is_whole() && !self.is_variant(row) && row.cell(&self.title).is_empty()
    }

    fn begin(&mut self, handle: &str, row: &Row<'_>) -> usize {
        self.groups.push(Group {
            handle: handle.to_owned(),
            line: row.line,
            rows: 1,
            title: String::new(),
            description: row.text(self.description.as_ref()),
            vendor: row.text(self.vendor.as_ref()),
            image: row.text(self.image.as_ref()),
            drafts: Vec::new(),
            faulty: BTreeSet::new(),
        });
        let index = self.groups.len() - 1;
        self.by_handle.insert(handle.to_owned(), index);
        index
    }

    fn blame(&mut self, group: Option<usize>, line: u64) {
        if let Some(group) = group.and_then(|index| self.groups.get_mut(index)) {
            group.faulty.insert(line);
        }
    }

    fn draft(&self, row: &Row<'_>, findings: &mut Findings) -> Result<Draft, Faulty> {
        let title = self.options(row);
        let fits = match self.options.first() {
            Some(column) => row.check_title(&title, column, findings),
            None => Ok(()),
        };
        let sku = row.sku(self.sku.as_ref(), findings);
        let price = row.price(&self.price, findings);
        fits?;
        Ok(Draft { line: row.line, sku: sku?, title, price: price? })
    }
}

impl Layout for Shopify {
    fn row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let sound = row.check(findings).is_ok();
        let Some(index) = self.group_of(row, findings) else { return };
        if !sound {
            return self.blame(Some(index), row.line);
        }
        let is_first = self.groups.get(index).is_some_and(|group| group.line == row.line);
        let title = match is_first {
            true => row.title(&self.title, findings).map(Some),
            false => Ok(None),
        };
        let draft = match is_first || self.is_variant(row) {
            true => self.draft(row, findings).map(Some),
            false => Ok(None),
        };
        let Some(group) = self.groups.get_mut(index) else { return };
        if title.is_err() || draft.is_err() {
            group.faulty.insert(row.line);
        }
        if let Ok(Some(title)) = title {
            group.title = title;
        }
        group.drafts.extend(draft.ok().flatten());
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product> {
        let Self { handle, sku, options, mut groups, .. } = *self;
        let columns = Columns { handle: &handle, sku: sku.as_ref(), option: options.first() };
        // The SKUs that stand in the file go before those that are derived.
        for (index, group) in groups.iter_mut().enumerate() {
            group.check(index, &columns, findings);
        }
        let groups = groups.into_iter().enumerate();
        groups.filter_map(|(index, group)| group.finish(index, &columns, findings)).collect()
    }
}
