//! Character encodings of feeds.

use crate::state::string_enum;

string_enum!(
    /// Character encoding of a feed.
    Encoding {
        /// UTF-8, with or without a byte order mark.
        Utf8 = "utf-8",
        /// UTF-16, little-endian.
        Utf16Le = "utf-16le",
        /// UTF-16, big-endian.
        Utf16Be = "utf-16be",
        /// Windows-1252, which includes the printable characters of Latin-1.
        Windows1252 = "windows-1252",
        /// Windows-1250, for Central European languages.
        Windows1250 = "windows-1250",
        /// Windows-1251, for Cyrillic.
        Windows1251 = "windows-1251",
        /// Windows-1254, for Turkish.
        Windows1254 = "windows-1254",
        /// ISO 8859-2, for Central European languages.
        Iso8859_2 = "iso-8859-2",
        /// Shift JIS, for Japanese.
        ShiftJis = "shift_jis",
    }
);

impl Encoding {
    /// Returns the name that people know the encoding by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Windows1252 => "Windows-1252",
            Self::Windows1250 => "Windows-1250",
            Self::Windows1251 => "Windows-1251",
            Self::Windows1254 => "Windows-1254",
            Self::Iso8859_2 => "ISO 8859-2",
            Self::ShiftJis => "Shift JIS",
        }
    }
}

#[allow(clippy::derivable_impls)]
impl Default for Encoding {
    fn default() -> Self {
        Self::Utf8
    }
}
