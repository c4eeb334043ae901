//! Formats in which the rows of one product share a handle: Shopify, Medusa and Google. In
//! files for Vendure, the rows below a product are its further variants.
//!
//! Rows of one handle needn't stand together: people sort their sheets.

mod group;

use super::{
    Format,
    cell_text::truncate,
    details::{ItemDetails, add_details, read_options},
    findings::Findings,
    format_reader::FormatReader,
    header::Column,
    layout::Layout,
    prices::{RowPrices, Rules},
    publication::exclusion,
    row::{ErrorReported, Row},
    sale_period::SalePeriod,
    sku,
    text_keys::{TextKeyMap, TextKeys},
    variant_options,
};
use contract::{feed::Field, product::Product};
use group::{GroupColumns, HandleGroup, VariantDraft};

/// Begins the key of a row without a group. No cell begins so.
const NO_GROUP: &str = "\0";

pub(super) struct HandleReader {
    layout: Layout,
    columns: GroupColumns,
    groups: Vec<HandleGroup>,
    keys: TextKeys,
    /// Indexes of the groups by the keys of their handles.
    group_by_key: TextKeyMap<u32>,
}

impl HandleReader {
    /// Creates a reader with room for this number of products. Room that is not used takes no
    /// memory, and rows that are added don't have to move.
    pub(super) fn new(layout: Layout, max_products: usize) -> Self {
        let columns = GroupColumns {
            handle: layout.required(Field::Handle),
            title: layout.required(Field::Title),
            price: layout.required(Field::Price),
            sku: layout.column(Field::Sku).cloned(),
            option: layout.options.first().map(|option| option.value.clone()),
        };
        Self {
            layout,
            columns,
            groups: Vec::with_capacity(max_products),
            keys: TextKeys::default(),
            group_by_key: TextKeyMap::default(),
        }
    }

    /// Returns the group that a row belongs to. A row without one is bad.
    fn group_for_row(&mut self, row: &Row<'_>, findings: &mut Findings) -> Option<usize> {
        let handle = row.identifier(self.layout.column(Field::Handle));
        let title = row.cell(&self.columns.title);
        let key = match (self.layout.format, handle) {
            (Format::Vendure, _) if title.is_empty() => return self.group_above(row, findings),
            (Format::Vendure, handle) => handle.unwrap_or_else(|| sku::slug(title).into()),
            // Rows without a group are products of their own.
            (Format::Google, None) => format!("{NO_GROUP}{}", row.line).into(),
            (_, Some(handle)) => handle,
            (_, None) => {
                row.report_error(&self.columns.handle, "the handle is missing", findings);
                // A row without a title is a variant that lost its product.
                let last = self.groups.last_mut().filter(|_| title.is_empty());
                last.into_iter().for_each(|group| group.add_bad_line(row.line));
                return None;
            }
        };
        let new = self.groups.len();
        // In Vendure's files, the rows below belong to this one even if its slug is in use.
        let index = match self.layout.format {
            Format::Vendure => new,
            _ => *self.group_by_key.entry(self.keys.key(&key)).or_insert(new as u32) as usize,
        };
        if index == new {
            let handle = if key.starts_with(NO_GROUP) { "" } else { &key };
            self.groups.push(HandleGroup::new(handle, row.line));
            return Some(new);
        }
        let group = self.groups.get_mut(index)?;
        group.add_line(row.line);
        let may_differ = self.layout.format == Format::Google || title.is_empty();
        if !may_differ && !group.has_title(title) {
            let shown = truncate(&group.handle, 64);
            let reason = format!(
                "the handle “{shown}” is already that of “{}” in line {}: give this product a \
                 handle of its own",
                truncate(&group.product.title, 64),
                group.first_line(),
            );
            row.report_error(&self.columns.handle, &reason, findings);
            group.add_bad_line(row.line);
            return None;
        }
        Some(index)
    }

    fn group_above(&mut self, row: &Row<'_>, findings: &mut Findings) -> Option<usize> {
        let Some(group) = self.groups.last_mut() else {
            row.report_error(&self.columns.title, "the title is missing", findings);
            return None;
        };
        group.add_line(row.line);
        self.groups.len().checked_sub(1)
    }

    /// Returns whether the row has a variant. Others only add an image, or what all variants
    /// share.
    fn is_variant_row(&self, row: &Row<'_>) -> bool {
        if self.layout.format != Format::Shopify {
            return true;
        }
        let values = self.layout.options.iter().map(|option| &option.value);
        let columns = values.chain(&self.columns.sku).chain([&self.columns.price]);
        columns.into_iter().any(|column| !row.cell(column).is_empty())
    }

    fn read_variant(
        &self,
        row: &Row<'_>,
        findings: &mut Findings,
    ) -> Result<VariantDraft, ErrorReported> {
        let options = read_options(row, &self.layout);
        let mut title = variant_options::title(&options);
        if title.is_empty() && self.layout.format == Format::Google {
            title = row.cell(&self.columns.title).to_owned();
        }
        let column = self.columns.option.as_ref().unwrap_or(&self.columns.title);
        let title_check = row.validate_title(&title, column, findings);
        let sku = row.sku(self.columns.sku.as_ref(), findings);
        let prices = read_prices(row, &self.layout, findings);
        let item = ItemDetails::read(row, &self.layout, findings);
        title_check?;
        Ok(VariantDraft { line: row.line, sku: sku?, title, options, prices, item })
    }
}

/// Reads the prices of a row.
pub(super) fn read_prices(row: &Row<'_>, layout: &Layout, findings: &mut Findings) -> RowPrices {
    let cell = |column: Option<&Column>| column.map(|c| row.cell(c)).unwrap_or_default();
    let dates = (layout.column(Field::SaleStart), layout.column(Field::SaleEnd));
    let price = row.price(layout.column(Field::Price), findings);
    let sale = row.price(layout.column(Field::SalePrice), findings);
    let compare_at = row.price(layout.column(Field::CompareAtPrice), findings);
    let with_period = |sale| Box::new((sale, SalePeriod::read(cell(dates.0), cell(dates.1))));
    RowPrices {
        price,
        sale: Some(sale).filter(|sale| !sale.is_missing()).map(with_period),
        compare_at: Some(compare_at).filter(|price| !price.is_missing()).map(Box::new),
    }
}

impl FormatReader for HandleReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let is_valid = row.validate(&self.layout, findings).is_ok();
        let Some(index) = self.group_for_row(row, findings) else { return };
        let title = match row.cell(&self.columns.title) {
            "" => Ok(""),
            _ if !is_valid => Ok(""),
            _ => row.title(&self.columns.title, findings),
        };
        let draft = match is_valid && self.is_variant_row(row) {
            true => self.read_variant(row, findings).map(Some),
            false => Ok(None),
        };
        let exclusion = exclusion(row, &self.layout).filter(|_| is_valid);
        let Some(group) = self.groups.get_mut(index) else { return };
        if !is_valid || title.is_err() || draft.is_err() {
            group.add_bad_line(row.line);
        }
        if is_valid {
            add_details(row, &self.layout, &mut group.product);
        }
        if let Ok(title) = title
            && group.product.title.is_empty()
        {
            group.product.title = title.to_owned();
        }
        if group.exclusion.is_none() {
            group.exclusion = exclusion;
        }
        if let Ok(Some(draft)) = draft {
            group.add_draft(draft);
        }
    }

    fn finish(self: Box<Self>, rules: &Rules, findings: &mut Findings) -> Vec<Product> {
        let Self { columns, mut groups, group_by_key, .. } = *self;
        drop(group_by_key);
        groups.retain(|group| !group.leave_out(rules, findings));
        findings.reserve_skus(groups.iter().map(HandleGroup::sku_count).sum());
        // SKUs given in the file take precedence over derived ones.
        for (group, index) in groups.iter_mut().zip(0..) {
            group.claim_given_skus(index, &columns, findings);
        }
        let mut indexes = 0..;
        // The list of products is made in the memory of the list of groups.
        let finish = |group: HandleGroup| {
            let index = indexes.next()?;
            group.finish(index, &columns, rules, findings)
        };
        groups.into_iter().filter_map(finish).collect()
    }
}
