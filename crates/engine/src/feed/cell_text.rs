//! The text of a CSV cell, and how to write a cell that a spreadsheet takes for text.

/// Returns whether a spreadsheet could take the text for a formula. A leading `'` counts
/// as an escape, so that escaping twice is undone twice.
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn looks_like_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// Returns the cell without surrounding blanks and without the `'` that escapes it.
pub(super) fn trim_and_unescape(cell: &str) -> &str {
    let cell = cell.trim();
    match cell.strip_prefix('\'') {
        Some(rest) if looks_like_formula(rest) => rest.trim_start(),
        _ => cell,
    }
}

/// Returns the text as a cell, with a leading `'` if [`trim_and_unescape`] removes one.
pub(super) fn escape_formula(text: &str) -> std::borrow::Cow<'_, str> {
    if looks_like_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// Returns the first `max` characters of the text, followed by `…` if it is longer.
pub(super) fn truncate(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::escape_formula;

    #[test]
    fn a_cell_that_a_spreadsheet_could_run_gets_an_apostrophe() {
        for text in ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "'=1", "''-1"] {
            assert_eq!(escape_formula(text), format!("'{text}"), "{text:?}");
        }
        for text in ["", "1+1", "a=b", "'quoted'", "lamp-1"] {
            assert_eq!(escape_formula(text), text);
        }
    }
}
