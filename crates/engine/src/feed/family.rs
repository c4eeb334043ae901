//! Products and variants that stand in rows of their own, each variant naming
//! its product: put together when all rows are known, in whatever order.

use super::{findings::Findings, header::Column, sku};
use contract::product::{Price, Product, Variant};
use std::collections::{BTreeSet, HashMap};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Product,
    /// A product that takes its price from its variants.
    PricedByVariants,
    /// A variant of the row that has this id or SKU.
    VariantOf(String),
}

/// What one row says.
pub(super) struct Member {
    pub line: u64,
    /// Another name that variants may know a product by.
    pub id: Option<String>,
    pub role: Role,
    /// Whether something in the row could not be read.
    pub faulty: bool,
    /// A variant without one gets one made; a product without one is faulty.
    pub sku: Option<String>,
    pub title: String,
    pub price: Option<Price>,
    pub description: Option<String>,
    pub vendor: Option<String>,
    pub image: Option<String>,
}

pub(super) struct Families {
    sku: Column,
    families: Vec<Family>,
    variants: Vec<Child>,
    torn: Vec<Torn>,
}

struct Family {
    product: Member,
    variants: Vec<Variant>,
    /// How many rows name this one, good or bad.
    children: usize,
    /// Lines of bad rows.
    faulty: BTreeSet<u64>,
}

struct Child {
    member: Member,
    /// Index of its family, once it is known.
    family: Option<usize>,
}

/// A row whose cells don't stand under their columns.
struct Torn {
    line: u64,
    parent: Option<String>,
    /// How many products stood above it.
    above: usize,
}

impl Families {
    /// `sku` is the column to name where a SKU is taken twice.
    pub(super) fn new(sku: Column) -> Self {
        Self { sku, families: Vec::new(), variants: Vec::new(), torn: Vec::new() }
    }

    pub(super) fn add(&mut self, member: Member) {
        match member.role {
            Role::VariantOf(_) => self.variants.push(Child { member, family: None }),
            Role::Product | Role::PricedByVariants => self.families.push(Family {
                faulty: member.faulty.then_some(member.line).into_iter().collect(),
                product: member,
                variants: Vec::new(),
                children: 0,
            }),
        }
    }

    /// A row that can't be read may have been a variant: of the product whose
    /// name stands where the parent's should, else of the product above it.
    pub(super) fn torn(&mut self, line: u64, parent: Option<String>) {
        self.torn.push(Torn { line, parent, above: self.families.len() });
    }

    /// `price` and `parent` are the columns to name in bad rows.
    pub(super) fn finish(
        mut self,
        price: &Column,
        parent: Option<&Column>,
        findings: &mut Findings,
    ) -> Vec<Product> {
        self.find_parents(parent, findings);
        self.claim_skus(findings);
        self.join_variants(findings);
        self.families.into_iter().filter_map(|family| family.finish(price, findings)).collect()
    }

    fn find_parents(&mut self, parent: Option<&Column>, findings: &mut Findings) {
        let mut names: HashMap<&str, usize> = HashMap::new();
        for (index, Family { product, .. }) in self.families.iter().enumerate() {
            for name in [product.id.as_deref(), product.sku.as_deref()].into_iter().flatten() {
                names.entry(name).or_insert(index);
            }
        }
        let mut children = vec![0; self.families.len()];
        for child in &mut self.variants {
            let Role::VariantOf(name) = &child.member.role else { continue };
            child.family = names.get(name.as_str()).copied();
            match child.family.and_then(|index| children.get_mut(index)) {
                Some(count) => *count += 1,
                None => {
                    let reason = match name.as_str() {
                        "" => "the parent of the variation is missing".to_owned(),
                        name => {
                            let name = super::cell::clipped(name, 64);
                            format!("the parent “{name}” is not a product of this file")
                        }
                    };
                    findings.fault(child.member.line, parent.map(|c| c.name.as_str()), &reason);
                }
            }
        }
        let broken: Vec<_> = self
            .torn
            .iter()
            .filter_map(|torn| {
                let named = torn.parent.as_deref().and_then(|name| names.get(name).copied());
                Some((named.or_else(|| torn.above.checked_sub(1))?, torn.line))
            })
            .collect();
        for (family, children) in self.families.iter_mut().zip(children) {
            family.children = children;
        }
        for (index, line) in broken {
            if let Some(family) = self.families.get_mut(index).filter(|f| f.children > 0) {
                family.faulty.insert(line);
            }
        }
    }

    /// In the order of the file, so that the second of two is the bad one.
    fn claim_skus(&mut self, findings: &mut Findings) {
        let products = self.families.iter().enumerate().map(|(i, f)| (Some(i), &f.product, true));
        let variants = self.variants.iter().map(|child| (child.family, &child.member, false));
        let mut claims: Vec<_> = products
            .chain(variants)
            .filter_map(|(family, member, is_product)| {
                Some((member.line, family?, member.sku.clone()?, is_product))
            })
            .collect();
        claims.sort_unstable_by_key(|(line, ..)| *line);
        for (line, index, sku, is_product) in claims {
            let claimed = match is_product {
                true => findings.claim_product(&sku, line, index),
                false => findings.claim_variant(&sku, line, index),
            };
            if let Err(first) = claimed {
                findings.duplicate(line, Some(&self.sku.name), &sku, first);
                if let Some(family) = self.families.get_mut(index) {
                    family.faulty.insert(line);
                }
            }
        }
    }

    fn join_variants(&mut self, findings: &mut Findings) {
        for Child { member, family: index } in std::mem::take(&mut self.variants) {
            let Some(index) = index else { continue };
            let Some(family) = self.families.get_mut(index) else { continue };
            if member.faulty {
                family.faulty.insert(member.line);
                continue;
            }
            let sku = match (member.sku, &family.product.sku) {
                (Some(sku), _) => sku,
                (None, None) => continue,
                (None, Some(product)) => {
                    let line = member.line;
                    match sku::derive_variant(product, &member.title, line, index, findings) {
                        Ok(sku) => sku,
                        Err((sku, first)) => {
                            findings.duplicate(line, Some(&self.sku.name), &sku, first);
                            family.faulty.insert(line);
                            continue;
                        }
                    }
                }
            };
            if let Some(price) = member.price {
                family.variants.push(Variant { sku, title: member.title, price });
            }
        }
    }
}

impl Family {
    fn finish(mut self, price: &Column, findings: &mut Findings) -> Option<Product> {
        let lowest = self.variants.iter().map(|variant| variant.price).min();
        let of_product = self.product.price.or(lowest);
        if of_product.is_none() && self.faulty.is_empty() {
            let reason = "the price is missing, and no variation has one";
            findings.fault(self.product.line, Some(&price.name), reason);
            self.faulty.insert(self.product.line);
        }
        if !self.faulty.is_empty() {
            let name = self.product.sku.as_ref().unwrap_or(&self.product.title);
            if self.children > 0 {
                self.faulty.iter().for_each(|line| findings.left_out(*line, name));
            }
            return None;
        }
        Some(Product {
            sku: self.product.sku?,
            title: self.product.title,
            price: of_product?,
            description: self.product.description,
            vendor: self.product.vendor,
            image: self.product.image,
            variants: self.variants,
        })
    }
}
