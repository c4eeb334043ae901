//! Formats of product files, and their detection from the header.

use super::{
    Format, ReadError,
    findings::Findings,
    header::Header,
    plain::PlainReader,
    row::Row,
    shopify::{self, ShopifyReader},
    woocommerce::{self, WooCommerceReader},
};
use contract::product::Product;

/// Reads rows of one format into products.
pub(super) trait FormatReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings);

    /// Returns the valid products in the order of the file.
    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product>;
}

pub(super) fn detect_format(header: &Header) -> Result<(Format, Box<dyn FormatReader>), ReadError> {
    Ok(if shopify::is_header(header) {
        (Format::Shopify, Box::new(ShopifyReader::new(header)?))
    } else if woocommerce::is_header(header) {
        (Format::WooCommerce, Box::new(WooCommerceReader::new(header)?))
    } else {
        (Format::Plain, Box::new(PlainReader::new(header)?))
    })
}
