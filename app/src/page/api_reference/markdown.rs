//! Renders the Markdown of descriptions: code and links, which is all that they have.

use leptos::prelude::*;

/// Part of a description.
#[derive(Debug, PartialEq, Eq)]
enum Span<'a> {
    Text(&'a str),
    Code(&'a str),
    Link { label: &'a str, href: &'a str },
}

/// Renders a description.
pub fn inline(text: &str) -> AnyView {
    spans(text)
        .into_iter()
        .map(|span| match span {
            Span::Text(text) => text.to_owned().into_any(),
            Span::Code(code) => view! { <code>{code.to_owned()}</code> }.into_any(),
            Span::Link { label, href } => {
                view! { <a href=href.to_owned()>{inline(label)}</a> }.into_any()
            }
        })
        .collect::<Vec<_>>()
        .into_any()
}

/// Splits a description. A mark without its end is text.
fn spans(mut text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut plain_end = 0;
    while let Some(offset) = text[plain_end..].find(['`', '[']) {
        let start = plain_end + offset;
        let Some((span, length)) = code(&text[start..]).or_else(|| link(&text[start..])) else {
            plain_end = start + 1;
            continue;
        };
        if start > 0 {
            spans.push(Span::Text(&text[..start]));
        }
        spans.push(span);
        text = &text[start + length..];
        plain_end = 0;
    }
    if !text.is_empty() {
        spans.push(Span::Text(text));
    }
    spans
}

/// Returns the code at the beginning, and its length with the marks.
fn code(text: &str) -> Option<(Span<'_>, usize)> {
    let (code, _) = text.strip_prefix('`')?.split_once('`')?;
    Some((Span::Code(code), code.len() + 2))
}

/// Returns the link to a web page at the beginning, and its length with the marks.
fn link(text: &str) -> Option<(Span<'_>, usize)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (href, _) = rest.split_once(')')?;
    let is_link = !label.contains(['[', ']']) && href.starts_with("https://");
    is_link.then(|| (Span::Link { label, href }, label.len() + href.len() + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_links_are_told_from_text() {
        let text = "[RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) details, see `detail`.";
        let rfc = Span::Link { label: "RFC 9457", href: "https://www.rfc-editor.org/rfc/rfc9457" };
        let expected = [rfc, Span::Text(" details, see "), Span::Code("detail"), Span::Text(".")];
        assert_eq!(spans(text), expected);
        for plain in ["a ` b", "[a] (b)", "[a](javascript:alert(1))", "ü [", ""] {
            let expected: &[Span<'_>] = if plain.is_empty() { &[] } else { &[Span::Text(plain)] };
            assert_eq!(spans(plain), expected, "{plain}");
        }
        assert_eq!(spans("`a``b`"), [Span::Code("a"), Span::Code("b")]);
    }
}
