//! Plain files, `sku,title,price[,description,vendor,image,parent]`: one product per row.

use super::{
    ReadError,
    findings::Findings,
    format_reader::FormatReader,
    header::{Column, Header},
    row::Row,
    variants::{ProductRow, RowKind, VariantGrouper},
};
use contract::product::Product;

const SKU: &[&str] = &["sku", "product sku", "item sku"];
const TITLE: &[&str] = &["title", "name", "product title", "product name"];
const PRICE: &[&str] = &["price", "unit price"];

pub(super) struct PlainReader {
    sku: Column,
    title: Column,
    price: Column,
    description: Option<Column>,
    vendor: Option<Column>,
    image: Option<Column>,
    parent: Option<Column>,
    grouper: VariantGrouper,
}

impl PlainReader {
    pub(super) fn new(header: &Header) -> Result<Self, ReadError> {
        let found =
            [SKU, TITLE, PRICE].iter().filter(|names| names.iter().any(|n| header.has_column(n)));
        if found.count() < 2 {
            return Err(ReadError::UnknownHeader { found: header.names_for_error() });
        }
        let sku = header.require_column(SKU)?;
        Ok(Self {
            title: header.require_column(TITLE)?,
            price: header.require_column(PRICE)?,
            description: header.find_column(&["description", "body"])?,
            vendor: header.find_column(&["vendor", "brand", "manufacturer"])?,
            image: header.find_column(&["image", "image url", "image src", "image link"])?,
            parent: header.find_column(&["parent", "parent sku"])?,
            grouper: VariantGrouper::new(sku.clone()),
            sku,
        })
    }
}

impl FormatReader for PlainReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let parent = row.optional_text(self.parent.as_ref());
        if row.validate(findings).is_err() {
            return self.grouper.add_malformed_row(row.line, parent);
        }
        let sku = row.required_sku(&self.sku, findings);
        let title = row.title(&self.title, findings);
        let price = row.price(&self.price, findings);
        self.grouper.add_row(ProductRow {
            line: row.line,
            id: None,
            kind: parent.map_or(RowKind::Product, RowKind::VariantOf),
            is_invalid: sku.is_err() || title.is_err() || price.is_err(),
            sku: sku.ok(),
            title: title.unwrap_or_default(),
            price: price.ok(),
            description: row.optional_text(self.description.as_ref()),
            vendor: row.optional_text(self.vendor.as_ref()),
            image: row.optional_text(self.image.as_ref()),
        });
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product> {
        self.grouper.finish(&self.price, self.parent.as_ref(), findings)
    }
}
