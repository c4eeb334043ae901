//! What a cell of a CSV file says, and how to write one that a spreadsheet
//! takes for text.

/// Whether a spreadsheet could take the text for a formula. A `'` before it
/// counts as part of a guard, so that guarding twice is undone twice.
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn needs_guard(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// The cell without blanks around it and without the `'` that guards it.
pub(super) fn clean(cell: &str) -> &str {
    let cell = cell.trim();
    match cell.strip_prefix('\'') {
        Some(rest) if needs_guard(rest) => rest.trim_start(),
        _ => cell,
    }
}

/// The text as a cell: with a `'` before it where [`clean`] takes one off.
pub(super) fn guarded(text: &str) -> std::borrow::Cow<'_, str> {
    if needs_guard(text) { format!("'{text}").into() } else { text.into() }
}

/// The text's first `max` characters, with a mark where it is cut.
pub(super) fn clipped(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_cell_that_a_spreadsheet_could_run_gets_an_apostrophe() {
        for text in ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "'=1", "''-1"] {
            assert_eq!(guarded(text), format!("'{text}"), "{text:?}");
        }
        for text in ["", "1+1", "a=b", "'quoted'", "lamp-1"] {
            assert_eq!(guarded(text), text);
        }
    }
}
