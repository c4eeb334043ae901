//! `sku,title,price[,description,vendor,image,parent]`: one product a row.

use super::{
    Unreadable,
    family::{Families, Member, Role},
    findings::Findings,
    header::{Column, Header},
    layout::Layout,
    row::Row,
};
use contract::product::Product;

const SKU: &[&str] = &["sku", "product sku", "item sku"];
const TITLE: &[&str] = &["title", "name", "product title", "product name"];
const PRICE: &[&str] = &["price", "unit price"];

pub(super) struct Plain {
    sku: Column,
    title: Column,
    price: Column,
    description: Option<Column>,
    vendor: Option<Column>,
    image: Option<Column>,
    parent: Option<Column>,
    families: Families,
}

impl Plain {
    pub(super) fn new(header: &Header) -> Result<Self, Unreadable> {
        let found = [SKU, TITLE, PRICE].iter().filter(|names| names.iter().any(|n| header.has(n)));
        if found.count() < 2 {
            return Err(Unreadable::UnknownHeader { found: header.shown() });
        }
        let sku = header.need(SKU)?;
        Ok(Self {
            title: header.need(TITLE)?,
            price: header.need(PRICE)?,
            description: header.find(&["description", "body"])?,
            vendor: header.find(&["vendor", "brand", "manufacturer"])?,
            image: header.find(&["image", "image url", "image src", "image link"])?,
            parent: header.find(&["parent", "parent sku"])?,
            families: Families::new(sku.clone()),
            sku,
        })
    }
}

impl Layout for Plain {
    fn row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let parent = row.text(self.parent.as_ref());
        if row.check(findings).is_err() {
            return self.families.torn(row.line, parent);
        }
        let sku = row.needed_sku(&self.sku, findings);
        let title = row.title(&self.title, findings);
        let price = row.price(&self.price, findings);
        self.families.add(Member {
            line: row.line,
            id: None,
            role: parent.map_or(Role::Product, Role::VariantOf),
            faulty: sku.is_err() || title.is_err() || price.is_err(),
            sku: sku.ok(),
            title: title.unwrap_or_default(),
            price: price.ok(),
            description: row.text(self.description.as_ref()),
            vendor: row.text(self.vendor.as_ref()),
            image: row.text(self.image.as_ref()),
        });
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product> {
        self.families.finish(&self.price, self.parent.as_ref(), findings)
    }
}
