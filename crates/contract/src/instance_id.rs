//! Lists of EC2's ids, as people paste and programs send them.

use crate::text;
use std::{collections::HashSet, fmt};

/// Possible numbers of hexadecimal digits of an id. Machines from before 2016 may have 8;
/// see [longer resource ids](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html).
const DIGIT_COUNTS: [usize; 2] = [17, 8];
/// Maximum number of wrong ids that an error names.
const MAX_NAMED: usize = 50;

/// Reason for which a list of ids is refused, and what to do. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceIdError {
    /// The list has no id.
    #[error("Choose at least one machine.")]
    Empty,
    /// Some entries are no ids.
    #[error(transparent)]
    Invalid(#[from] InvalidIds),
}

/// Entries of a list that are no ids of machines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidIds {
    /// The first [`MAX_NAMED`] of them, each once, cleaned for display.
    first: Vec<String>,
    /// Number of different ones.
    total: usize,
}

impl fmt::Display for InvalidIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self.first.iter().map(|id| format!("“{id}”")).collect();
        let rest = self.total - quoted.len();
        let listed = match quoted.split_last() {
            _ if rest > 0 => format!("{} and {rest} more", quoted.join(", ")),
            Some((last, others)) if !others.is_empty() => {
                format!("{} and {last}", others.join(", "))
            }
            _ => quoted.concat(),
        };
        let (are, what, them) = match self.total {
            1 => ("is", "the id of a machine", "it"),
            _ => ("are", "ids of machines", "them"),
        };
        write!(
            f,
            "{listed} {are} not {what}: an id is “i-” with 8 or 17 hexadecimal digits, such as \
             i-0a1b2c3d4e5f60001. Correct {them}; nothing was started."
        )
    }
}

/// Returns the ids in `texts`, each once, in lower case and in the order of their first
/// mention. A text may hold several, separated by commas, semicolons or white space, and
/// quoted as in a list that a program printed.
///
/// # Errors
/// There is no id, or some entries are none.
pub fn parse_instance_ids<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>, InstanceIdError> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    let mut invalid = InvalidIds { first: Vec::new(), total: 0 };
    for entry in texts.into_iter().flat_map(|text| text.split(is_separator)) {
        let entry: String = entry.chars().filter(|letter| !is_invisible(*letter)).collect();
        let entry = entry.trim_matches(is_quote);
        let id = entry.to_lowercase();
        if id.is_empty() || seen.contains(&id) {
            continue;
        }
        if is_instance_id(&id) {
            ids.push(id.clone());
        } else {
            invalid.total += 1;
            if invalid.first.len() < MAX_NAMED {
                invalid.first.push(text::MACHINE_ID.clean(entry));
            }
        }
        seen.insert(id);
    }
    match (invalid.total, ids.is_empty()) {
        (1.., _) => Err(invalid.into()),
        (0, true) => Err(InstanceIdError::Empty),
        (0, false) => Ok(ids),
    }
}

/// Whether a text in lower case has the shape of an id.
fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|digits| {
        DIGIT_COUNTS.contains(&digits.len())
            && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_separator(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ',' | ';')
}

/// Whether a letter can't be seen, and comes along when text is copied from a page.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '`' | '[' | ']' | '“' | '”' | '„' | '‘' | '’')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "i-0a1b2c3d4e5f60001";
    const B: &str = "i-0a1b2c3d4e5f60002";
    const OLD: &str = "i-1234abcd";

    fn parse(texts: &[&str]) -> Result<Vec<String>, String> {
        parse_instance_ids(texts.iter().copied()).map_err(|error| error.to_string())
    }

    #[test]
    fn pasted_lists_are_split_trimmed_and_deduplicated() {
        for texts in [
            vec![A, B],
            vec!["i-0a1b2c3d4e5f60001 ", " i-0a1b2c3d4e5f60002\n", A],
            vec!["i-0a1b2c3d4e5f60001,i-0a1b2c3d4e5f60002"],
            vec!["i-0a1b2c3d4e5f60001; i-0a1b2c3d4e5f60002;"],
            vec!["i-0a1b2c3d4e5f60001\r\ni-0a1b2c3d4e5f60002\r\n\r\n"],
            vec!["i-0a1b2c3d4e5f60001\u{a0}\ti-0a1b2c3d4e5f60002"],
            vec!["\u{feff}I-0A1B2C3D4E5F60001 i-0a1b2c3d\u{200b}4e5f60002"],
            vec![r#"["i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"]"#],
        ] {
            assert_eq!(parse(&texts), Ok(vec![A.to_owned(), B.to_owned()]), "{texts:?}");
        }
        assert_eq!(parse(&[OLD]), Ok(vec![OLD.to_owned()]));
    }

    #[test]
    fn list_without_an_id_is_refused() {
        for texts in [vec![], vec![""], vec![" \n", ",;", "\"\""]] {
            assert_eq!(parse(&texts), Err("Choose at least one machine.".into()), "{texts:?}");
        }
    }

    #[test]
    fn every_wrong_id_is_named_once_with_what_is_expected() {
        let what = "an id is “i-” with 8 or 17 hexadecimal digits, such as i-0a1b2c3d4e5f60001.";
        for (texts, named, them) in [
            (
                vec!["ma1", A, "web-server-01", "ma1"],
                "“ma1” and “web-server-01” are not ids of machines",
                "them",
            ),
            (vec!["i-0a1b2c3d4e5f6000"], "“i-0a1b2c3d4e5f6000” is not the id of a machine", "it"),
            (vec!["i-0a1b2c3d4e5f6000g"], "“i-0a1b2c3d4e5f6000g” is not the id of a machine", "it"),
            (vec!["i-"], "“i-” is not the id of a machine", "it"),
            (
                vec!["vol-1234abcd i-1\0"],
                "“vol-1234abcd” and “i-1\u{fffd}” are not ids of machines",
                "them",
            ),
        ] {
            let words = format!("{named}: {what} Correct {them}; nothing was started.");
            assert_eq!(parse(&texts), Err(words), "{texts:?}");
        }
    }

    #[test]
    fn error_about_many_or_long_entries_stays_short() {
        let many: Vec<_> = (0..100_000).map(|n| format!("web-{n}")).collect();
        let words = parse_instance_ids(many.iter().map(String::as_str)).unwrap_err().to_string();
        assert!(words.contains("“web-49” and 99950 more are not ids"), "{words}");
        let words = parse(&[&"ä".repeat(1_000_000)]).unwrap_err();
        assert!(words.chars().count() < 300, "{words}");
    }
}
