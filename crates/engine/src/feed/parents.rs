//! Formats in which a variant names its product: plain lists and WooCommerce exports.

mod group;
mod grouper;

use super::{
    Format,
    details::{ItemDetails, add_details, first_image, read_options},
    findings::Findings,
    format_reader::FormatReader,
    handles::read_prices,
    header::Column,
    layout::Layout,
    prices::Rules,
    publication::{exclusion, exclusion_without_price},
    row::{ErrorReported, Row},
    variant_options, woocommerce,
};
use contract::{
    feed::Field,
    product::{Product, Variant},
};
use group::{ProductGroup, RowRest, VariantRow};
use grouper::{Columns, Grouper};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Product,
    /// A variant of the product with this id or SKU.
    VariantOf(String),
}

pub(super) struct ParentReader {
    layout: Layout,
    title: Column,
    grouper: Grouper,
}

impl ParentReader {
    pub(super) fn new(layout: Layout, max_rows: usize) -> Self {
        let title = layout.required(Field::Title);
        let columns = Columns {
            sku: layout.required(Field::Sku),
            price: layout.required(Field::Price),
            parent: layout.column(Field::Parent).cloned(),
            names_options: layout.format == Format::WooCommerce,
        };
        Self { layout, title, grouper: Grouper::new(columns, max_rows) }
    }

    fn parent(&self, row: &Row<'_>) -> Option<String> {
        row.identifier(self.layout.column(Field::Parent)).map(Cow::into_owned)
    }

    fn row_kind(&self, row: &Row<'_>) -> RowKind {
        let parent = self.parent(row);
        let kind = self.layout.column(Field::RowKind);
        match kind.filter(|_| self.layout.format == Format::WooCommerce) {
            // Such as `variation` or `subscription_variation`.
            Some(column) if woocommerce::kind(row.cell(column)).ends_with("variation") => {
                RowKind::VariantOf(parent.unwrap_or_default())
            }
            Some(_) => RowKind::Product,
            None => parent.map_or(RowKind::Product, RowKind::VariantOf),
        }
    }

    /// Returns the title. That of a variation of WooCommerce consists of its options, because
    /// its name repeats that of the product.
    fn title(
        &self,
        row: &Row<'_>,
        kind: &RowKind,
        options: &[(String, String)],
        findings: &mut Findings,
    ) -> Result<String, ErrorReported> {
        let has_own_title =
            self.layout.format == Format::Plain && !row.cell(&self.title).is_empty();
        if let (RowKind::VariantOf(_), false) = (kind, has_own_title) {
            let title = variant_options::title(options);
            if !title.is_empty() {
                let first = self.layout.options.first().map(|option| &option.value);
                let column = first.unwrap_or(&self.title);
                return row.validate_title(&title, column, findings).map(|()| title);
            }
        }
        row.title(&self.title, findings).map(str::to_owned)
    }
}

impl FormatReader for ParentReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        if row.validate(&self.layout, findings).is_err() {
            return self.grouper.add_malformed_row(row.line, self.parent(row));
        }
        let kind = self.row_kind(row);
        let options = read_options(row, &self.layout);
        let sku = row.sku(self.layout.column(Field::Sku), findings);
        let title = self.title(row, &kind, &options, findings);
        let rest = RowRest {
            line: row.line,
            is_invalid: sku.is_err() || title.is_err(),
            options,
            prices: read_prices(row, &self.layout, findings),
            exclusion: exclusion(row, &self.layout),
        };
        let (sku, title) = (sku.ok().flatten().unwrap_or_default(), title.unwrap_or_default());
        let ItemDetails { barcode, stock, weight, .. } =
            ItemDetails::read(row, &self.layout, findings);
        match kind {
            RowKind::Product => {
                let mut product =
                    Product { sku, title, barcode, stock, weight, ..Product::default() };
                add_details(row, &self.layout, &mut product);
                let id = row.identifier(self.layout.column(Field::RowId));
                let id = id.filter(|_| self.layout.format == Format::WooCommerce).map(Box::from);
                let without_price = exclusion_without_price(row, &self.layout);
                self.grouper.add_product(ProductGroup::new(product, rest, id, without_price));
            }
            RowKind::VariantOf(parent) => {
                let image = first_image(row, &self.layout);
                let variant =
                    Variant { sku, title, barcode, stock, weight, image, ..Variant::default() };
                self.grouper.add_variant(VariantRow { parent, variant, rest });
            }
        }
    }

    fn finish(self: Box<Self>, rules: &Rules, findings: &mut Findings) -> Vec<Product> {
        self.grouper.finish(rules, findings)
    }
}
