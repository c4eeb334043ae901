//! Bounds on texts that are kept, and which characters they may hold. Every
//! edge (API, forms, server functions, hub, connectors) uses these constants,
//! and the store refuses what does not keep them.
//!
//! Texts of people are refused with a sentence, see [`TextField::check`].
//! Texts of outside services can't be refused, for the call that they answer
//! has happened: see [`TextField::clean`].
//!
//! Lengths count Unicode characters (scalar values), each of which takes at
//! most four bytes, unless a name ends in `_BYTES`.

/// A text that is kept: what people call it, and how long it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextField {
    /// Completes the sentence "The … has".
    name: &'static str,
    max_chars: usize,
    /// Whether it may hold line breaks and tabs.
    multiline: bool,
}

/// Name of an uploaded file; it becomes the title of its job. File systems
/// allow 255 bytes or characters.
pub const FILE_NAME: TextField = TextField::line("file's name", 255);
/// Title of a job or a task.
pub const TITLE: TextField = TextField::text("title", 300);
/// SKU of a product or of a variant.
pub const SKU: TextField = TextField::line("SKU", 64);
/// Title of a product or of a variant.
pub const PRODUCT_TITLE: TextField = TextField::text("title", 255);
/// Largest cell of a CSV file that is read, in bytes: descriptions, vendors
/// and addresses of images.
pub const CELL_BYTES: usize = 32 << 10;
/// Client's key of a launch, in a header or a form.
pub const IDEMPOTENCY_KEY: TextField = TextField::line("idempotency key", 255);
/// Words that a list, a grid or the search is filtered by.
pub const SEARCH: TextField = TextField::line("search", 200);
/// Parameter of an address, before it is known what it means.
pub const PARAMETER: TextField = TextField::line("parameter", 1_000);
/// Email address, see [RFC 5321 §4.5.3.1.3](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3)
/// and its erratum 1690.
pub const EMAIL: TextField = TextField::line("email address", 254);
/// Password as it is typed. It is hashed, and never kept.
pub const PASSWORD: TextField = TextField::text("password", 1_000);
/// Name of a program's token.
pub const TOKEN_NAME: TextField = TextField::line("token's name", 80);
/// Id of a sales channel.
pub const CHANNEL: TextField = TextField::line("channel", 64);
/// Id of a machine; those of EC2 have 19 characters.
pub const MACHINE_ID: TextField = TextField::line("machine's id", 64);
/// Name tag of a machine. EC2 allows
/// [256 characters](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions).
pub const MACHINE_NAME: TextField = TextField::line("machine's name", 256);
/// State, type or zone of a machine.
pub const MACHINE_PROPERTY: TextField = TextField::line("machine's property", 64);
/// Code of an outcome, for programs.
pub const OUTCOME_CODE: TextField = TextField::line("outcome's code", 64);
/// Message of an outcome, which may quote an outside service.
pub const OUTCOME_MESSAGE: TextField = TextField::text("outcome's message", 1_000);
/// Outside service's own id of what was made.
pub const OUTCOME_REFERENCE: TextField = TextField::line("outcome's reference", 255);
/// `User-Agent` of whoever opened a session.
pub const USER_AGENT: TextField = TextField::line("browser's name", 255);
/// Reason for which a message of a queue could not be read.
pub const REJECTION: TextField = TextField::text("reason", 1_000);
/// Largest part of an unreadable message that is kept, in bytes.
pub const REJECTED_MESSAGE_BYTES: usize = 64 << 10;

/// Why a text was not accepted, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("The {field} has {found} characters; at most {max} are allowed. Shorten it.")]
    TooLong { field: &'static str, found: usize, max: usize },
    /// `place` counts characters from 1.
    #[error(
        "The {field} has a control character (U+{code:04X}) as its character {place}. Remove it."
    )]
    ControlCharacter { field: &'static str, code: u32, place: usize },
}

impl TextField {
    const fn line(name: &'static str, max_chars: usize) -> Self {
        Self { name, max_chars, multiline: false }
    }

    const fn text(name: &'static str, max_chars: usize) -> Self {
        Self { name, max_chars, multiline: true }
    }

    /// Maximum number of characters.
    pub const fn max_chars(&self) -> usize {
        self.max_chars
    }

    /// Checks a text that a person or a program sent.
    ///
    /// # Errors
    /// The text is too long, or holds a control character.
    pub fn check(&self, text: &str) -> Result<(), TextError> {
        self.check_length(text)?;
        let field = self.name;
        match text.chars().zip(1..).find(|(letter, _)| !self.allows(*letter)) {
            Some((letter, place)) => {
                Err(TextError::ControlCharacter { field, code: letter.into(), place })
            }
            None => Ok(()),
        }
    }

    /// Checks only the length, of a text that is hashed and never kept.
    ///
    /// # Errors
    /// The text is too long.
    pub fn check_length(&self, text: &str) -> Result<(), TextError> {
        let (field, max) = (self.name, self.max_chars);
        // A text has no more characters than bytes.
        if text.len() <= max {
            return Ok(());
        }
        match text.chars().count() {
            found if found > max => Err(TextError::TooLong { field, found, max }),
            _ => Ok(()),
        }
    }

    /// Returns a text of an outside service with U+FFFD for each control
    /// character, and cut to the bound, the last character being "…" then.
    pub fn clean(&self, text: &str) -> String {
        let replaced =
            |letter| if self.allows(letter) { letter } else { char::REPLACEMENT_CHARACTER };
        let mut letters = text.chars().map(replaced);
        let mut cleaned: String = letters.by_ref().take(self.max_chars).collect();
        if letters.next().is_some() {
            cleaned.pop();
            cleaned.push('…');
        }
        cleaned
    }

    fn allows(&self, letter: char) -> bool {
        !letter.is_control() || (self.multiline && matches!(letter, '\n' | '\r' | '\t'))
    }
}

/// Returns the first control character of a text that may have several lines,
/// such as a cell of a CSV file.
pub fn control_character(text: &str) -> Option<char> {
    text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
}

/// Returns a text of several lines with U+FFFD for each control character.
pub fn printable(text: &str) -> String {
    let fit = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    text.chars().map(|c| if fit(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_characters_and_is_inclusive() {
        assert_eq!(SKU.check(&"ä".repeat(64)), Ok(()));
        let error = SKU.check(&"ä".repeat(65));
        assert_eq!(error, Err(TextError::TooLong { field: "SKU", found: 65, max: 64 }));
        let words = "The SKU has 65 characters; at most 64 are allowed. Shorten it.";
        assert_eq!(error.map_err(|error| error.to_string()), Err(words.into()));
    }

    #[test]
    fn control_characters_are_refused_with_their_place() {
        for (text, code, place) in [
            ("\0", 0, 1),
            ("ab\u{1b}[31m", 0x1b, 3),
            ("ä\u{7f}", 0x7f, 2),
            ("a\u{92}", 0x92, 2),
            ("a\nb", 0x0a, 2),
            ("a\tb", 0x09, 2),
        ] {
            let field = "file's name";
            let error = TextError::ControlCharacter { field, code, place };
            assert_eq!(FILE_NAME.check(text), Err(error), "{text:?}");
        }
        assert_eq!(PRODUCT_TITLE.check("two\r\n\tlines"), Ok(()));
        assert_eq!(control_character("two\r\n\tlines"), None);
        assert_eq!(control_character("a\0b"), Some('\0'));
        let words = "The email address has a control character (U+0000) as its character 2. \
                     Remove it.";
        assert_eq!(EMAIL.check("a\0b").map_err(|error| error.to_string()), Err(words.into()));
    }

    #[test]
    fn a_text_from_outside_is_made_fit_instead() {
        assert_eq!(OUTCOME_CODE.clean("http_500"), "http_500");
        assert_eq!(OUTCOME_CODE.clean("a\0b\nc"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(OUTCOME_MESSAGE.clean("a\0b\nc"), "a\u{fffd}b\nc");
        let cut = OUTCOME_CODE.clean(&"ü".repeat(1_000_000));
        assert_eq!((cut.chars().count(), cut.chars().last()), (64, Some('…')));
        for text in ["\0".repeat(3_000), "x".repeat(3_000)] {
            assert_eq!(OUTCOME_MESSAGE.check(&OUTCOME_MESSAGE.clean(&text)), Ok(()));
        }
    }
}
