//! Files for Vendure's importer. A row with a name begins a product; the rows below it
//! without one are further variants.
//! Source: <https://docs.vendure.io/guides/developer-guide/importing-data>.

use super::{ReadError, field_names, header::Header, layout::LayoutBuilder};

/// Returns a name without the language that may follow it, as in `name:en`.
fn without_language(key: &str) -> &str {
    key.split_once(':').map_or(key, |(name, _)| name)
}

pub(super) fn is_header(header: &Header) -> bool {
    let has = |name: &str| header.columns().any(|(_, key)| without_language(key) == name);
    has("name") && has("price") && (has("optiongroups") || has("facets") && has("assets"))
}

pub(super) fn assign(builder: LayoutBuilder) -> Result<LayoutBuilder, ReadError> {
    let mut builder = builder.with_keys(without_language);
    builder.assign(field_names::VENDURE)?;
    Ok(builder)
}
