//! The text of a CSV cell, and how to write a cell that a spreadsheet takes for text.

use std::borrow::Cow;

/// Returns whether a spreadsheet could take the text for a formula. A leading `'` counts
/// as an escape, so that escaping twice is undone twice.
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn looks_like_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// Returns the cell without surrounding blanks, and without what marks it as text for a
/// spreadsheet: a `'` before a formula or a number, or `="…"` around it.
pub(super) fn trim_and_unescape(cell: &str) -> &str {
    if is_plain(cell) {
        return cell;
    }
    let cell = cell.trim();
    match cell.as_bytes().first() {
        Some(b'\'') => match cell.strip_prefix('\'') {
            Some(rest) if looks_like_formula(rest) || is_number(rest) => rest.trim_start(),
            _ => cell,
        },
        Some(b'=') => text_formula(cell).map_or(cell, str::trim),
        _ => cell,
    }
}

/// Returns whether nothing can be taken off a cell, which two bytes of most cells show.
fn is_plain(cell: &str) -> bool {
    match cell.as_bytes() {
        [] => true,
        [b'\'' | b'=', ..] => false,
        [first, .., last] => first.is_ascii_graphic() && last.is_ascii_graphic(),
        [only] => only.is_ascii_graphic(),
    }
}

/// Returns the text of a formula that consists of a text, such as `="0017"`.
fn text_formula(cell: &str) -> Option<&str> {
    let text = cell.strip_prefix("=\"")?.strip_suffix('"')?;
    (!text.contains('"')).then_some(text)
}

/// Returns whether the text is a number, with or without a leading `'`.
fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b' '))
}

/// Returns whether a character can't be seen, such as a zero-width blank, a soft hyphen, a
/// byte order mark or a mark of the writing direction.
pub(super) fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// Returns whether the cell has no text.
pub(super) fn is_blank(cell: &str) -> bool {
    trim_and_unescape(cell).is_empty()
}

/// Returns the text as a cell, with a leading `'` if [`trim_and_unescape`] removes one.
pub(super) fn escape_formula(text: &str) -> Cow<'_, str> {
    let is_escaped = text.strip_prefix('\'').is_some_and(is_number);
    if is_escaped || looks_like_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// Returns an identifier as a cell. [`identifier`] removes a leading `'`.
pub(super) fn escape_identifier(text: &str) -> Cow<'_, str> {
    match text.starts_with('\'') {
        true => format!("'{text}").into(),
        false => escape_formula(text),
    }
}

/// Returns the text of a cell that identifies something, such as a SKU: also without a `'`
/// before any other text, and without invisible characters. No-break blanks become blanks.
pub(super) fn identifier(cell: &str) -> Cow<'_, str> {
    if is_plain(cell) && cell.is_ascii() {
        return cell.into();
    }
    let trimmed = cell.trim();
    let unescaped = trim_and_unescape(trimmed);
    let text = match trimmed.strip_prefix('\'') {
        Some(rest) if unescaped.len() == trimmed.len() => rest.trim(),
        _ => unescaped,
    };
    if text.is_ascii() {
        return text.into();
    }
    let is_no_break = |letter| matches!(letter, '\u{a0}' | '\u{202f}' | '\u{2007}');
    if !text.chars().any(|letter| is_invisible(letter) || is_no_break(letter)) {
        return text.into();
    }
    let letters = text.chars().filter(|letter| !is_invisible(*letter));
    let text: String = letters.map(|c| if is_no_break(c) { ' ' } else { c }).collect();
    text.trim().to_owned().into()
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
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_could_run_gets_an_apostrophe() {
        for text in ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "'=1", "''-1"] {
            assert_eq!(escape_formula(text), format!("'{text}"), "{text:?}");
        }
        for text in ["", "1+1", "a=b", "'quoted'", "lamp-1"] {
            assert_eq!(escape_formula(text), text);
        }
    }

    #[test]
    fn marks_of_a_text_are_taken_off_a_cell() {
        for (cell, text) in [
            (" '=1+1 ", "=1+1"),
            ("'0017", "0017"),
            ("'10.50", "10.50"),
            ("''0", "'0"),
            ("=\"0017\"", "0017"),
            ("=\"\"", ""),
            ("'=\"0017\"", "=\"0017\""),
            ("'90s poster", "'90s poster"),
            ("rock 'n' roll", "rock 'n' roll"),
            ("=A1&\"x\"", "=A1&\"x\""),
        ] {
            assert_eq!(trim_and_unescape(cell), text, "{cell}");
        }
    }

    #[test]
    fn identifiers_have_no_invisible_characters() {
        for (cell, text) in [
            ("'100101941961156", "100101941961156"),
            ("'abc", "abc"),
            ("''abc", "'abc"),
            ("ABC-1\u{200b}", "ABC-1"),
            ("\u{feff}ABC\u{ad}-1", "ABC-1"),
            ("\u{200e}ABC\u{a0}2\u{a0}", "ABC 2"),
            ("O'Neill", "O'Neill"),
            ("größe", "größe"),
        ] {
            assert_eq!(identifier(cell), text, "{cell:?}");
        }
        for text in ["'", "'a", "'=1", "=1", "'12", "12", "-"] {
            assert_eq!(identifier(&escape_identifier(text)), text);
        }
    }
}
