//! A Shopify product export. The rows of one `Handle` stand together: the
//! first has the product and its first variant, the others a variant or one
//! more image each.
//! Source: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

use super::{
    Unreadable,
    cell::clipped,
    findings::Findings,
    header::{Column, Header},
    layout::Layout,
    row::Row,
    sku,
};
use contract::product::{Price, Product, Variant};
use std::collections::HashMap;

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

/// The rows of one handle.
struct Group {
    handle: String,
    line: u64,
    rows: usize,
    title: String,
    description: Option<String>,
    vendor: Option<String>,
    image: Option<String>,
    drafts: Vec<Draft>,
    /// Lines of bad rows.
    faulty: Vec<u64>,
}

/// A variant that may have no SKU yet.
struct Draft {
    line: u64,
    sku: Option<String>,
    title: String,
    price: Price,
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
            options: header.all(|key| {
                matches!(key, "option1 value" | "option2 value" | "option3 value")
            }),
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

    /// The group that a row goes on with, or a new one. A row of a handle that
    /// has been left behind is bad; without a title it is a torn off variant,
    /// so that the product would be half of one.
    fn group_of(&mut self, row: &Row<'_>, findings: &mut Findings) -> Option<usize> {
        let handle = row.cell(&self.handle);
        let last = self.groups.len().checked_sub(1);
        if handle.is_empty() {
            row.fault(&self.handle, "the handle is missing", findings);
            if row.cell(&self.title).is_empty() {
                self.blame(last, row.line);
            }
            return None;
        }
        match self.by_handle.get(handle).copied() {
            None => Some(self.begin(handle, row)),
            same if same == last => same,
            _ if row.cell(&self.title).is_empty() && !self.is_variant(row) => None,
            before => {
                let first = before.and_then(|index| self.groups.get(index)).map_or(0, |g| g.line);
                let shown = clipped(handle, 64);
                let reason = format!(
                    "the handle “{shown}” is already in line {first}: put its rows together, or \
                     give this product a handle of its own"
                );
                row.fault(&self.handle, &reason, findings);
                if row.cell(&self.title).is_empty() {
                    self.blame(before, row.line);
                }
                None
            }
        }
    }

    fn begin(&mut self, handle: &str, row: &Row<'_>) -> usize {
        self.groups.push(Group {
            handle: handle.to_owned(),
            line: row.line,
            rows: 0,
            title: String::new(),
            description: row.text(self.description.as_ref()),
            vendor: row.text(self.vendor.as_ref()),
            image: row.text(self.image.as_ref()),
            drafts: Vec::new(),
            faulty: Vec::new(),
        });
        let index = self.groups.len() - 1;
        self.by_handle.insert(handle.to_owned(), index);
        index
    }

    fn blame(&mut self, group: Option<usize>, line: u64) {
        if let Some(group) = group.and_then(|index| self.groups.get_mut(index)) {
            group.faulty.push(line);
        }
    }

    fn draft(&self, row: &Row<'_>, findings: &mut Findings) -> Option<Draft> {
        let title = self.options(row);
        let fits = match self.options.first() {
            Some(column) => row.check_title(&title, column, findings).is_ok(),
            None => true,
        };
        let sku = row.sku(self.sku.as_ref(), findings);
        let price = row.price(&self.price, findings);
        let (Ok(sku), Ok(price), true) = (sku, price, fits) else { return None };
        Some(Draft { line: row.line, sku, title, price })
    }

    fn name_of(column: Option<&Column>) -> Option<&str> {
        column.map(|column| column.name.as_str())
    }

    /// Takes the SKUs that stand in the file, before others are derived.
    fn claim_given(&mut self, findings: &mut Findings) {
        for (index, group) in self.groups.iter_mut().enumerate() {
            if group.drafts.len() > 1 {
                let sku = group.product_sku();
                if let Err(reason) = sku::check(&sku) {
                    let reason = reason.replace("the SKU", "the handle");
                    findings.fault(group.line, Some(&self.handle.name), &reason);
                    group.faulty.push(group.line);
                }
                if let Err(first) = findings.claim_product(&sku, group.line, index) {
                    findings.duplicate(group.line, Some(&self.handle.name), &sku, first);
                    group.faulty.push(group.line);
                }
            }
            let single = group.drafts.len() == 1;
            for draft in &group.drafts {
                let Some(sku) = &draft.sku else { continue };
                let claimed = match single {
                    true => findings.claim_product(sku, draft.line, index),
                    false => findings.claim_variant(sku, draft.line, index),
                };
                if let Err(first) = claimed {
                    findings.duplicate(draft.line, Self::name_of(self.sku.as_ref()), sku, first);
                    group.faulty.push(draft.line);
                }
            }
        }
    }
}
