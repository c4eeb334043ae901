//! The rows of one handle, and the product that they form.

use crate::feed::{
    cell_text::truncate,
    details::ItemDetails,
    findings::Findings,
    header::Column,
    prices::{FinalPrice, RowPrices, Rules},
    publication::Exclusion,
    sku,
    variant_options::VariantOptions,
    variant_skus::{self, SkuContext, VariantIdentity},
};
use contract::{
    feed::{LeftOutKind, ZeroPriceChoice},
    product::{Product, ProductStatus, Variant},
};
use std::collections::BTreeSet;

/// The rows of a product. A file may have 100,000 products, so what the product will be is in it
/// from the beginning.
pub(super) struct HandleGroup {
    /// Handle; empty for a row of Google's feeds that belongs to no group.
    pub handle: Box<str>,
    /// The product without its SKU, price, options and variants.
    pub product: Product,
    pub drafts: Vec<VariantDraft>,
    pub exclusion: Option<Box<Exclusion>>,
    first_line: u64,
    /// Lines of the other rows, including those of images.
    further_lines: Vec<u64>,
    bad_lines: BTreeSet<u64>,
}

/// A variant that may have no SKU yet.
pub(super) struct VariantDraft {
    pub line: u64,
    pub sku: Option<String>,
    /// Values of the options.
    pub title: String,
    pub options: Vec<(String, String)>,
    pub prices: RowPrices,
    pub item: ItemDetails,
}

/// Columns that errors of bad rows name.
pub(super) struct GroupColumns {
    pub handle: Column,
    pub title: Column,
    pub price: Column,
    pub sku: Option<Column>,
    pub option: Option<Column>,
}

impl GroupColumns {
    fn sku_name(&self) -> Option<&str> {
        self.sku.as_ref().map(|column| column.name.as_str())
    }
}

impl HandleGroup {
    pub(super) fn new(handle: &str, line: u64) -> Self {
        Self {
            handle: handle.into(),
            product: Product::default(),
            drafts: Vec::new(),
            exclusion: None,
            first_line: line,
            further_lines: Vec::new(),
            bad_lines: BTreeSet::new(),
        }
    }

    pub(super) fn first_line(&self) -> u64 {
        self.first_line
    }

    pub(super) fn add_line(&mut self, line: u64) {
        self.further_lines.push(line);
    }

    fn lines(&self) -> impl Iterator<Item = u64> {
        [self.first_line].into_iter().chain(self.further_lines.iter().copied())
    }

    /// Adds a variant. Most products have one or two, for which there is no spare room then.
    pub(super) fn add_draft(&mut self, draft: VariantDraft) {
        let count = self.drafts.len();
        if count == self.drafts.capacity() {
            self.drafts.reserve_exact(count.max(1));
        }
        self.drafts.push(draft);
    }

    pub(super) fn add_bad_line(&mut self, line: u64) {
        self.bad_lines.insert(line);
    }

    /// Returns whether this may be the title of the product.
    pub(super) fn has_title(&self, title: &str) -> bool {
        self.product.title.is_empty() || self.product.title == title
    }

    /// Returns the handle, else the title.
    fn name(&self) -> &str {
        if self.handle.is_empty() { &self.product.title } else { &self.handle }
    }

    /// Returns the number of SKUs of the product and its variants.
    pub(super) fn sku_count(&self) -> usize {
        self.drafts.len() + usize::from(self.has_variants())
    }

    fn has_variants(&self) -> bool {
        self.drafts.len() > 1
    }

    /// Returns the SKU of a product with several variants: its handle, shortened if it is too
    /// long.
    fn product_sku(&self) -> String {
        sku::shorten(self.name())
    }

    fn identities(&self) -> Vec<VariantIdentity<'_>> {
        self.drafts
            .iter()
            .map(|draft| VariantIdentity {
                line: draft.line,
                sku: draft.sku.as_deref(),
                options: &draft.title,
            })
            .collect()
    }

    /// Leaves the product out if it must not be sold, and returns whether that is so.
    pub(super) fn leave_out(&self, rules: &Rules, findings: &mut Findings) -> bool {
        match &self.exclusion {
            Some(exclusion) if !(exclusion.is_draft() && rules.sends_drafts) => {
                let Exclusion { kind, column, reason } = &**exclusion;
                self.lines().for_each(|line| findings.leave_out(line, *kind, column, reason));
                true
            }
            _ => false,
        }
    }

    /// Claims the SKUs given in the file: the handle of a product with several variants, and
    /// those in the SKU column.
    pub(super) fn claim_given_skus(
        &mut self,
        index: u32,
        columns: &GroupColumns,
        findings: &mut Findings,
    ) {
        let handle = Some(columns.handle.name.as_str());
        if self.handle.chars().any(char::is_control) {
            let reason = "the handle has control characters, such as a line break: remove them";
            findings.report_error(self.first_line(), handle, reason);
            self.bad_lines.insert(self.first_line());
        }
        if !self.has_variants() {
            if let Some(VariantDraft { line, sku: Some(sku), .. }) = self.drafts.first()
                && let Err(first) = findings.claim_product_sku(sku, *line, index)
            {
                findings.report_duplicate_sku(*line, columns.sku_name(), sku, first);
                self.bad_lines.insert(*line);
            }
            return;
        }
        let sku = self.product_sku();
        if let Err(first) = findings.claim_product_sku(&sku, self.first_line(), index) {
            findings.report_duplicate_sku(self.first_line(), handle, &sku, first);
            self.bad_lines.insert(self.first_line());
        }
        for draft in self.drafts.iter().filter(|draft| draft.title.is_empty()) {
            let column = columns.option.as_ref().map(|column| column.name.as_str());
            findings.report_error(draft.line, column, "the option value is missing");
            self.bad_lines.insert(draft.line);
        }
        let context = SkuContext { column: columns.sku_name(), group: index };
        let duplicates = variant_skus::claim_given(&self.identities(), &context, findings);
        self.bad_lines.extend(duplicates);
    }

    pub(super) fn finish(
        mut self,
        index: u32,
        columns: &GroupColumns,
        rules: &Rules,
        findings: &mut Findings,
    ) -> Option<Product> {
        if self.product.title.is_empty() && self.bad_lines.is_empty() {
            let column = Some(columns.title.name.as_str());
            findings.report_error(self.first_line(), column, "the title is missing");
            self.bad_lines.insert(self.first_line());
        }
        let prices = self.resolve_prices(columns, rules, findings);
        let skus = match self.has_variants() {
            true => self.variant_skus(index, columns, findings),
            false => self.single_sku(index, columns, findings).map(|sku| vec![sku]),
        };
        if !self.bad_lines.is_empty() {
            self.skip(findings);
            return None;
        }
        if self.leave_out_zero_price(&prices, columns, rules, findings) {
            return None;
        }
        self.build(skus?, &prices)
    }

    fn skip(&self, findings: &mut Findings) {
        let has_other_bad_line = || self.bad_lines.iter().any(|line| *line != self.first_line);
        if !self.further_lines.is_empty() || has_other_bad_line() {
            let name = truncate(self.name(), 64);
            let lines: BTreeSet<_> = self.lines().chain(self.bad_lines.iter().copied()).collect();
            lines.into_iter().for_each(|line| findings.skip_row(line, &name));
        }
    }

    fn resolve_prices(
        &mut self,
        columns: &GroupColumns,
        rules: &Rules,
        findings: &mut Findings,
    ) -> Vec<FinalPrice> {
        let mut prices = Vec::with_capacity(self.drafts.len());
        let missing = "the price is missing";
        for draft in &self.drafts {
            match rules.resolve(&draft.prices, draft.line, &columns.price, findings) {
                Ok(Some(price)) => prices.push(price),
                Ok(None) => {
                    findings.report_error(draft.line, Some(&columns.price.name), missing);
                    self.bad_lines.insert(draft.line);
                }
                Err(_) => {
                    self.bad_lines.insert(draft.line);
                }
            }
        }
        if self.drafts.is_empty() && self.bad_lines.is_empty() {
            findings.report_error(self.first_line(), Some(&columns.price.name), missing);
            self.bad_lines.insert(self.first_line());
        }
        prices
    }

    fn variant_skus(
        &mut self,
        index: u32,
        columns: &GroupColumns,
        findings: &mut Findings,
    ) -> Option<Vec<String>> {
        let product_sku = self.product_sku();
        if product_sku != *self.handle && !self.handle.is_empty() {
            let text = format!("the handle is long: its SKU is “{product_sku}”");
            findings.add_note(self.first_line(), text);
        }
        let context = SkuContext { column: columns.sku_name(), group: index };
        let identities = self.identities();
        match variant_skus::complete(&product_sku, &identities, &context, findings) {
            Ok(skus) => Some(skus),
            Err(lines) => {
                self.bad_lines.extend(lines);
                None
            }
        }
    }

    fn single_sku(
        &mut self,
        index: u32,
        columns: &GroupColumns,
        findings: &mut Findings,
    ) -> Option<String> {
        let draft = self.drafts.first_mut()?;
        let line = draft.line;
        if let Some(sku) = draft.sku.take() {
            return Some(sku);
        }
        let sku = match self.handle.is_empty() {
            true => sku::shorten(&sku::slug(&self.product.title)),
            false => self.product_sku(),
        };
        if sku.is_empty() {
            findings.report_error(line, columns.sku_name(), "the SKU is missing");
            self.bad_lines.insert(line);
            return None;
        }
        if let Err(first) = findings.claim_product_sku(&sku, line, index) {
            findings.report_duplicate_sku(line, columns.sku_name(), &sku, first);
            self.bad_lines.insert(line);
            return None;
        }
        findings.add_note(line, format!("no SKU is given: “{sku}” is used"));
        Some(sku)
    }

    /// Counts a product that costs nothing, and leaves it out if the person chose so.
    fn leave_out_zero_price(
        &self,
        prices: &[FinalPrice],
        columns: &GroupColumns,
        rules: &Rules,
        findings: &mut Findings,
    ) -> bool {
        let mut zeros = self.drafts.iter().zip(prices).filter(|(_, price)| price.price.0 == 0);
        let Some((draft, _)) = zeros.next() else { return false };
        findings.count_zero_price(draft.line);
        let is_left_out = rules.zero_price == Some(ZeroPriceChoice::LeaveOut);
        if is_left_out {
            let (kind, column) = (LeftOutKind::ZeroPrice, columns.price.name.as_str());
            let reason = "the product costs 0.00";
            self.lines().for_each(|line| findings.leave_out(line, kind, column, reason));
        }
        is_left_out
    }

    fn build(self, skus: Vec<String>, prices: &[FinalPrice]) -> Option<Product> {
        let lowest = prices.iter().min_by_key(|price| price.price)?;
        let product_sku = self.has_variants().then(|| self.product_sku());
        let Self { mut product, drafts, exclusion, .. } = self;
        product.price = lowest.price;
        if exclusion.is_some() {
            product.status = ProductStatus::Draft;
        }
        let Some(product_sku) = product_sku else {
            let ItemDetails { barcode, stock, weight, .. } = drafts.into_iter().next()?.item;
            let (sku, compare_at_price) = (skus.into_iter().next()?, lowest.compare_at);
            return Some(Product { sku, compare_at_price, barcode, stock, weight, ..product });
        };
        product.sku = product_sku;
        let rows: Vec<_> = drafts.iter().map(|draft| draft.options.as_slice()).collect();
        let options = VariantOptions::by_position(&[], &rows);
        product.options = options.names;
        // The list of variants is made in the memory of the list of drafts.
        let drafts = drafts.into_iter().zip(skus).zip(prices).zip(options.values);
        let variants = drafts.map(|(((draft, sku), price), option_values)| Variant {
            compare_at_price: price.compare_at,
            option_values,
            barcode: draft.item.barcode,
            stock: draft.item.stock,
            weight: draft.item.weight,
            image: draft.item.image,
            ..Variant::new(sku, draft.title, price.price)
        });
        product.variants = variants.collect();
        Some(product)
    }
}
