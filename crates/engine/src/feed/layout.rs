//! Which format a header is.

use super::{
    Format, Unreadable,
    findings::Findings,
    header::Header,
    plain::Plain,
    row::Row,
    shopify::{self, Shopify},
    woocommerce::{self, WooCommerce},
};
use contract::product::Product;

/// Takes the rows of one format and makes products of them.
pub(super) trait Layout {
    fn row(&mut self, row: &Row<'_>, findings: &mut Findings);

    /// The good products in the order of the file.
    fn finish(self: Box<Self>, findings: &mut Findings) -> Vec<Product>;
}

pub(super) fn recognise(header: &Header) -> Result<(Format, Box<dyn Layout>), Unreadable> {
    Ok(if shopify::is_header(header) {
        (Format::Shopify, Box::new(Shopify::new(header)?))
    } else if woocommerce::is_header(header) {
        (Format::WooCommerce, Box::new(WooCommerce::new(header)?))
    } else {
        (Format::Plain, Box::new(Plain::new(header)?))
    })
}
