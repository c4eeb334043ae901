//! WooCommerce product exports. The variations of a `variable` row have rows of their own,
//! whose `Parent` is its SKU, or `id:` and its `ID`.
//! Source: <https://woocommerce.com/document/product-csv-importer-exporter/>.

use super::{
    ReadError,
    findings::Findings,
    format_reader::FormatReader,
    header::{Column, Header},
    row::{ErrorReported, Row},
    variants::{ProductRow, RowKind, VariantGrouper},
};
use contract::product::{Price, Product};

pub(super) fn is_header(header: &Header) -> bool {
    header.has_column("regular price") && (header.has_column("sku") || header.has_column("name"))
}

pub(super) struct WooCommerceReader {
    id: Option<Column>,
    kind: Option<Column>,
    sku: Column,
    name: Column,
    price: Column,
    description: Option<Column>,
    short_description: Option<Column>,
    vendor: Option<Column>,
    images: Option<Column>,
    parent: Option<Column>,
    attributes: Vec<Column>,
    grouper: VariantGrouper,
}

impl WooCommerceReader {
    pub(super) fn new(header: &Header) -> Result<Self, ReadError> {
        let sku = header.require_column(&["sku"])?;
        Ok(Self {
            id: header.find_column(&["id"])?,
            kind: header.find_column(&["type"])?,
            name: header.require_column(&["name"])?,
            price: header.require_column(&["regular price"])?,
            description: header.find_column(&["description"])?,
            short_description: header.find_column(&["short description"])?,
            vendor: header.find_column(&["brands", "brand", "vendor"])?,
            images: header.find_column(&["images"])?,
            parent: header.find_column(&["parent"])?,
            attributes: header
                .columns_where(|key| key.starts_with("attribute ") && key.ends_with(" value(s)")),
            grouper: VariantGrouper::new(sku.clone()),
            sku,
        })
    }

    fn row_kind(&self, row: &Row<'_>) -> RowKind {
        let parent = row.optional_text(self.parent.as_ref());
        let Some(kind) = &self.kind else {
            return parent.map_or(RowKind::Product, RowKind::VariantOf);
        };
        // Such as `variable`, `simple, downloadable` or `subscription_variation`.
        let kind = row.cell(kind).split(',').next().unwrap_or_default().trim().to_lowercase();
        if kind.ends_with("variation") {
            RowKind::VariantOf(parent.unwrap_or_default())
        } else if kind.starts_with("variable") {
            RowKind::PricedByVariants
        } else {
            RowKind::Product
        }
    }

    fn price(
        &self,
        row: &Row<'_>,
        kind: &RowKind,
        findings: &mut Findings,
    ) -> Result<Option<Price>, ErrorReported> {
        if *kind == RowKind::PricedByVariants && row.cell(&self.price).is_empty() {
            return Ok(None);
        }
        row.price(&self.price, findings).map(Some)
    }

    /// Returns the title. That of a variation consists of its options, because its name
    /// repeats that of the product.
    fn title(
        &self,
        row: &Row<'_>,
        kind: &RowKind,
        findings: &mut Findings,
    ) -> Result<String, ErrorReported> {
        if let RowKind::VariantOf(_) = kind {
            let options = self.attributes.iter().map(|column| row.cell(column));
            let options: Vec<_> = options.filter(|option| !option.is_empty()).collect();
            if let (Some(column), false) = (self.attributes.first(), options.is_empty()) {
                let title = options.join(" / ");
                return row.validate_title(&title, column, findings).map(|()| title);
            }
        }
        row.title(&self.name, findings)
    }
}

impl FormatReader for WooCommerceReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        if row.validate(findings).is_err() {
            return self
                .grouper
                .add_malformed_row(row.line, row.optional_text(self.parent.as_ref()));
        }
        let kind = self.row_kind(row);
        let sku = match kind {
            RowKind::VariantOf(_) => row.sku(Some(&self.sku), findings),
            _ => row.required_sku(&self.sku, findings).map(Some),
        };
        let title = self.title(row, &kind, findings);
        let price = self.price(row, &kind, findings);
        let images = row.optional_text(self.images.as_ref()).unwrap_or_default();
        let image = images.split(',').next().unwrap_or_default().trim();
        self.grouper.add_row(ProductRow {
            line: row.line,
            id: row.optional_text(self.id.as_ref()).map(|id| format!("id:{id}")),
            kind,
            is_invalid: sku.is_err() || title.is_err() || price.is_err(),
            sku: sku.ok().flatten(),
            title: title.unwrap_or_default(),
            price: price.ok().flatten(),
            description: row
                .optional_text(self.description.as_ref())
                .or_else(|| row.optional_text(self.short_description.as_ref())),
            vendor: row.optional_text(self.vendor.as_ref()),
            image: Some(image.to_owned()).filter(|image| !image.is_empty()),
        });
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product> {
        self.grouper.finish(&self.price, self.parent.as_ref(), findings)
    }
}
