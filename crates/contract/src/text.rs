//! Length limits and allowed characters of stored texts. Every entry point
//! (API, forms, server functions, hub, connectors) uses these constants, and the
//! store rejects texts that violate them.
//!
//! Texts of people are rejected with a sentence, see [`TextField::check`].
//! Texts of external services can't be rejected, because the call that they
//! answer has happened: see [`TextField::clean`].
//!
//! Lengths count Unicode characters (scalar values), each of which takes at
//! most four bytes, unless a name ends in `_BYTES`.

/// Limits of a stored text, and the name that people call it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextField {
    /// Completes the sentence "The … has".
    name: &'static str,
    max_chars: usize,
    /// Whether line breaks and tabs are allowed.
    multiline: bool,
}

/// Name of an uploaded file; it becomes the title of its job. File systems
/// allow 255 bytes or characters.
pub const FILE_NAME: TextField = TextField::single_line("file's name", 255);
/// Title of a job or a task.
pub const TITLE: TextField = TextField::multi_line("title", 300);
/// SKU of a product or of a variant.
pub const SKU: TextField = TextField::single_line("SKU", 64);
/// Title of a product or of a variant.
pub const PRODUCT_TITLE: TextField = TextField::multi_line("title", 255);
/// Maximum size of a cell of a CSV file, in bytes: descriptions, vendors and
/// addresses of images.
pub const MAX_CELL_BYTES: usize = 32 << 10;
/// Text of a command's body that a person edited.
pub const COMMAND_TEXT: TextField = TextField::multi_line("text", MAX_CELL_BYTES);
/// Idempotency key that a client sends with a launch, in a header or a form.
pub const IDEMPOTENCY_KEY: TextField = TextField::single_line("idempotency key", 255);
/// Search text of a list, a grid or the search page.
pub const SEARCH: TextField = TextField::single_line("search", 200);
/// Parameter of a URL, before it is parsed.
pub const PARAMETER: TextField = TextField::single_line("parameter", 1_000);
/// Email address, see [RFC 5321 §4.5.3.1.3](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3)
/// and its erratum 1690.
pub const EMAIL: TextField = TextField::single_line("email address", 254);
/// Password as it is typed. It is hashed, and never stored.
pub const PASSWORD: TextField = TextField::multi_line("password", 1_000);
/// Name of an API token.
pub const TOKEN_NAME: TextField = TextField::single_line("token's name", 80);
/// Id of a sales channel.
pub const CHANNEL: TextField = TextField::single_line("channel", 64);
/// Reason that an admin gives for a change.
pub const AUDIT_NOTE: TextField = TextField::single_line("note", 200);
/// Id of a machine; those of EC2 have 19 characters.
pub const MACHINE_ID: TextField = TextField::single_line("machine's id", 64);
/// Name tag of a machine. EC2 allows
/// [256 characters](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions).
pub const MACHINE_NAME: TextField = TextField::single_line("machine's name", 256);
/// State, type or zone of a machine.
pub const MACHINE_PROPERTY: TextField = TextField::single_line("machine's property", 64);
/// Code of an outcome, read by programs.
pub const OUTCOME_CODE: TextField = TextField::single_line("outcome's code", 64);
/// Message of an outcome, which may quote an external service.
pub const OUTCOME_MESSAGE: TextField = TextField::multi_line("outcome's message", 1_000);
/// External service's own id of what it created.
pub const OUTCOME_REFERENCE: TextField = TextField::single_line("outcome's reference", 255);
/// `User-Agent` of the browser or program that opened a session.
pub const USER_AGENT: TextField = TextField::single_line("browser's name", 255);
/// Reason for which a message of a queue was unreadable.
pub const REJECTION_REASON: TextField = TextField::multi_line("reason", 1_000);
/// Maximum part of an unreadable message that is stored, in bytes.
pub const MAX_REJECTED_MESSAGE_BYTES: usize = 64 << 10;

/// Reason for which a text is rejected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text has more than `max` characters.
    #[error("The {field} has {found} characters; at most {max} are allowed. Shorten it.")]
    TooLong {
        /// Name of the text.
        field: &'static str,
        /// Its number of characters.
        found: usize,
        /// Maximum number of characters.
        max: usize,
    },
    /// The text has a control character that is not allowed.
    #[error(
        "The {field} has a control character (U+{code:04X}) as its character {position}. Remove it."
    )]
    ControlCharacter {
        /// Name of the text.
        field: &'static str,
        /// Unicode code point of the character.
        code: u32,
        /// Position of the character, from 1.
        position: usize,
    },
}

impl TextField {
    const fn single_line(name: &'static str, max_chars: usize) -> Self {
        Self { name, max_chars, multiline: false }
    }

    const fn multi_line(name: &'static str, max_chars: usize) -> Self {
        Self { name, max_chars, multiline: true }
    }

    /// Returns the maximum number of characters.
    pub const fn max_chars(&self) -> usize {
        self.max_chars
    }

    /// Checks a text that a person or a program sent.
    ///
    /// # Errors
    /// The text is too long, or has a control character.
    pub fn check(&self, text: &str) -> Result<(), TextError> {
        self.check_length(text)?;
        let field = self.name;
        match text.chars().zip(1..).find(|(letter, _)| !self.allows(*letter)) {
            Some((letter, position)) => {
                Err(TextError::ControlCharacter { field, code: letter.into(), position })
            }
            None => Ok(()),
        }
    }

    /// Checks only the length: for a text that is hashed and never stored.
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

    /// Returns a text of an external service with U+FFFD in place of each
    /// control character. A text over the limit is cut to it, and ends in "…".
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

/// Returns the first control character of a text, such as a cell of a CSV file.
/// Line breaks and tabs are allowed.
pub fn find_control_character(text: &str) -> Option<char> {
    // Most texts have none, which is found out fastest without looking at letters: bytes below a
    // blank, DEL, and the two bytes of U+0080 to U+009F, which begin with 0xC2.
    let is_break = |byte: u8| matches!(byte, b'\n' | b'\r' | b'\t');
    let is_suspect = |byte: u8| byte < b' ' && !is_break(byte) || byte == 0x7F || byte == 0xC2;
    if !text.bytes().fold(false, |found, byte| found | is_suspect(byte)) {
        return None;
    }
    text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
}

/// Returns the text with U+FFFD in place of each control character, except line
/// breaks and tabs.
pub fn replace_control_characters(text: &str) -> String {
    let allowed = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_limit_counts_characters_and_is_inclusive() {
        assert_eq!(SKU.check(&"ä".repeat(64)), Ok(()));
        let error = SKU.check(&"ä".repeat(65));
        assert_eq!(error, Err(TextError::TooLong { field: "SKU", found: 65, max: 64 }));
        let words = "The SKU has 65 characters; at most 64 are allowed. Shorten it.";
        assert_eq!(error.map_err(|error| error.to_string()), Err(words.into()));
    }

    #[test]
    fn control_characters_are_rejected_with_their_position() {
        for (text, code, position) in [
            ("\0", 0, 1),
            ("ab\u{1b}[31m", 0x1b, 3),
            ("ä\u{7f}", 0x7f, 2),
            ("a\u{92}", 0x92, 2),
            ("a\nb", 0x0a, 2),
            ("a\tb", 0x09, 2),
        ] {
            let field = "file's name";
            let error = TextError::ControlCharacter { field, code, position };
            assert_eq!(FILE_NAME.check(text), Err(error), "{text:?}");
        }
        assert_eq!(PRODUCT_TITLE.check("two\r\n\tlines"), Ok(()));
        assert_eq!(find_control_character("two\r\n\tlines"), None);
        assert_eq!(find_control_character("a\0b"), Some('\0'));
        let words = "The email address has a control character (U+0000) as its character 2. \
                     Remove it.";
        assert_eq!(EMAIL.check("a\0b").map_err(|error| error.to_string()), Err(words.into()));
    }

    #[test]
    fn text_from_an_external_service_is_cleaned_not_rejected() {
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
