//! A WooCommerce product export. A `variable` row has its variations in rows
//! of their own, whose `Parent` is `id:` and the row's `ID`, or its SKU.
//! Source: <https://woocommerce.com/document/product-csv-importer-exporter/>.

use super::{
    Unreadable,
    family::{Families, Member, Role},
    findings::Findings,
    header::{Column, Header},
    layout::Layout,
    row::{Faulty, Row},
};
use contract::product::{Price, Product};

pub(super) fn is_header(header: &Header) -> bool {
    header.has("regular price") && (header.has("sku") || header.has("name"))
}

pub(super) struct WooCommerce {
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
    families: Families,
}

impl WooCommerce {
    pub(super) fn new(header: &Header) -> Result<Self, Unreadable> {
        let sku = header.need(&["sku"])?;
        Ok(Self {
            id: header.find(&["id"])?,
            kind: header.find(&["type"])?,
            name: header.need(&["name"])?,
            price: header.need(&["regular price"])?,
            description: header.find(&["description"])?,
            short_description: header.find(&["short description"])?,
            vendor: header.find(&["brands", "brand", "vendor"])?,
            images: header.find(&["images"])?,
            parent: header.find(&["parent"])?,
            attributes: header
                .all(|key| key.starts_with("attribute ") && key.ends_with(" value(s)")),
            families: Families::new(sku.clone()),
            sku,
        })
    }

    fn role(&self, row: &Row<'_>) -> Role {
        let parent = row.text(self.parent.as_ref());
        let Some(kind) = &self.kind else {
            return parent.map_or(Role::Product, Role::VariantOf);
        };
        // Such as `variable`, `simple, downloadable` or `subscription_variation`.
        let kind = row.cell(kind).split(',').next().unwrap_or_default().trim().to_lowercase();
        if kind.ends_with("variation") {
            Role::VariantOf(parent.unwrap_or_default())
        } else if kind.starts_with("variable") {
            Role::PricedByVariants
        } else {
            Role::Product
        }
    }

    fn price(
        &self,
        row: &Row<'_>,
        role: &Role,
        findings: &mut Findings,
    ) -> Result<Option<Price>, Faulty> {
        if *role == Role::PricedByVariants && row.cell(&self.price).is_empty() {
            return Ok(None);
        }
        row.price(&self.price, findings).map(Some)
    }

    /// A variation is called by its options; its name repeats the product's.
    fn title(&self, row: &Row<'_>, role: &Role, findings: &mut Findings) -> Result<String, Faulty> {
        if let Role::VariantOf(_) = role {
            let options = self.attributes.iter().map(|column| row.cell(column));
            let options: Vec<_> = options.filter(|option| !option.is_empty()).collect();
            if let (Some(column), false) = (self.attributes.first(), options.is_empty()) {
                let title = options.join(" / ");
                return row.check_title(&title, column, findings).map(|()| title);
            }
        }
        row.title(&self.name, findings)
    }
}

impl Layout for WooCommerce {
    fn row(&mut self, row: &Row<'_>, findings: &mut Findings) {
        if row.check(findings).is_err() {
            return self.families.torn(row.line, row.text(self.parent.as_ref()));
        }
        let role = self.role(row);
        let sku = match role {
            Role::VariantOf(_) => row.sku(Some(&self.sku), findings),
            _ => row.needed_sku(&self.sku, findings).map(Some),
        };
        let title = self.title(row, &role, findings);
        let price = self.price(row, &role, findings);
        let images = row.text(self.images.as_ref()).unwrap_or_default();
        let image = images.split(',').next().unwrap_or_default().trim();
        self.families.add(Member {
            line: row.line,
            id: row.text(self.id.as_ref()).map(|id| format!("id:{id}")),
            role,
            faulty: sku.is_err() || title.is_err() || price.is_err(),
            sku: sku.ok().flatten(),
            title: title.unwrap_or_default(),
            price: price.ok().flatten(),
            description: row
                .text(self.description.as_ref())
                .or_else(|| row.text(self.short_description.as_ref())),
            vendor: row.text(self.vendor.as_ref()),
            image: Some(image.to_owned()).filter(|image| !image.is_empty()),
        });
    }

    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product> {
        self.families.finish(&self.price, self.parent.as_ref(), findings)
    }
}
