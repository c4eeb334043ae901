//! Shopify product exports: the rows of one `Handle` are one product.
//! Source: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

use super::header::Header;

/// Returns whether this is the header of a Shopify export. Exports up to 2024 have the
/// columns `Handle` and `Variant Price`; later ones `URL handle` and `Price`.
pub(super) fn is_header(header: &Header) -> bool {
    let option = header.has_column("option1 value");
    let old = header.has_column("handle") && (header.has_column("variant price") || option);
    let new = header.has_column("url handle") && (header.has_column("price") || option);
    old || new
}
