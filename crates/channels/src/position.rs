//! Positions in the text of a file.

use crate::error::Mistake;
use std::ops::Range;

/// The text of a file, for the positions of its mistakes.
pub struct Source<'a> {
    /// Path of the file.
    pub path: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Source<'_> {
    /// Returns the mistake at a byte offset.
    pub fn mistake_at(&self, offset: usize, key: &str, message: impl Into<String>) -> Mistake {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Mistake {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.to_owned(),
            message: message.into(),
        }
    }

    /// Returns the mistake in a template: `line` and `range` are those within the string at
    /// `span`, as the template engine counts them.
    pub fn mistake_in_string(
        &self,
        span: &Range<usize>,
        line: Option<usize>,
        range: Option<Range<usize>>,
        key: &str,
        message: impl Into<String>,
    ) -> Mistake {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        // A multi-line string begins after its quotes and the line break that follows.
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
        let content = raw.get(quotes..).unwrap_or_default();
        let skipped = quotes
            + match quotes {
                3 if content.starts_with("\r\n") => 2,
                3 if content.starts_with('\n') => 1,
                _ => 0,
            };
        // Escapes make a string shorter than its source, so a range is exact only without.
        let has_escapes = raw.starts_with('"') && raw.contains('\\');
        match (range, line) {
            (Some(range), _) if !has_escapes => {
                self.mistake_at(span.start + skipped + range.start, key, message)
            }
            (_, Some(line)) if line > 1 => {
                let rest = raw.get(skipped..).unwrap_or_default();
                let offset: usize = rest.split_inclusive('\n').take(line - 1).map(str::len).sum();
                self.mistake_at(span.start + skipped + offset, key, message)
            }
            _ => self.mistake_at(span.start + skipped, key, message),
        }
    }
}
