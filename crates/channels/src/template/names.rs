//! Checks that the filters, tests and functions of a template exist, which minijinja finds
//! out only when it gets there.

use super::TemplateError;
use std::ops::Range;

/// Filters that channel files may use.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "bool",
    "capitalize",
    "default",
    "dictsort",
    "first",
    "float",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "minor_units",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "slug",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "zip",
];
/// Tests that channel files may use, as in `x is defined`.
const TESTS: &[&str] = &[
    "boolean",
    "containing",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];
/// Functions that channel files may use.
pub const FUNCTIONS: &[&str] = &["dict", "differs", "namespace", "range"];
/// Words that may stand before a parenthesis without being functions.
const KEYWORDS: &[&str] = &["and", "elif", "else", "if", "in", "is", "not", "or", "for", "set"];

/// Checks the names in all tags of a template.
///
/// # Errors
/// Names the first that does not exist.
pub fn check_template(source: &str) -> Result<(), TemplateError> {
    let mut from = 0;
    while let Some(open) = find_any(source, from, &["{{", "{%", "{#"]) {
        let close = match &source[open..open + 2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let start = open + 2;
        let end = source[start..].find(close).map_or(source.len(), |at| start + at);
        if close != "#}" {
            check_expression(&source[start..end], start)?;
        }
        from = end;
    }
    Ok(())
}

fn find_any(source: &str, from: usize, patterns: &[&str]) -> Option<usize> {
    patterns.iter().filter_map(|pattern| source[from..].find(pattern)).min().map(|at| from + at)
}

/// Checks the names in an expression that begins `offset` bytes after the start of its
/// template.
///
/// # Errors
/// Names the first that does not exist.
pub fn check_expression(source: &str, offset: usize) -> Result<(), TemplateError> {
    let mut before = Before::Other;
    let mut tokens = tokens(source).peekable();
    while let Some(range) = tokens.next() {
        let token = &source[range.clone()];
        let is_call = tokens.peek().is_some_and(|next| &source[next.clone()] == "(");
        let (kind, known) = match before {
            Before::Pipe => ("filter", FILTERS),
            Before::Is if token != "not" => ("test", TESTS),
            Before::Other if is_call && is_name(token) && !KEYWORDS.contains(&token) => {
                ("function", FUNCTIONS)
            }
            _ => ("", [].as_slice()),
        };
        if !kind.is_empty() && is_name(token) && !known.contains(&token) {
            return Err(TemplateError {
                line: None,
                range: Some(offset + range.start..offset + range.end),
                message: format!("there is no {kind} `{token}`; there are {}", known.join(", ")),
            });
        }
        before = match (token, before) {
            ("|", _) => Before::Pipe,
            ("is", _) | ("not", Before::Is) => Before::Is,
            (".", _) => Before::Dot,
            _ => Before::Other,
        };
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Before {
    Pipe,
    Is,
    Dot,
    Other,
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the positions of names and single characters; strings are left out.
fn tokens(source: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = source.get(at..)?;
            let first = rest.chars().next()?;
            let start = at;
            if first == '"' || first == '\'' {
                at += string_length(rest, first);
                continue;
            }
            if first.is_whitespace() {
                at += first.len_utf8();
                continue;
            }
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let length = match is_part(first) {
                true => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
                false => first.len_utf8(),
            };
            at += length;
            return Some(start..at);
        }
    })
}

/// Returns the length of the string that `text` begins with, with its quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + character.len_utf8(),
            _ => {}
        }
    }
    text.len()
}
