//! Lists of values in one cell.

/// Splits a text at separators of ASCII into the values between them, without blanks around them
/// and without blank ones.
///
/// The list has no spare room: a file may have 100,000 of them.
pub(super) fn split_trimmed(text: &str, separators: &[char]) -> Vec<String> {
    match separators {
        // A single letter is searched several bytes at a time.
        [separator] => trimmed_values(text.split(*separator)),
        _ => trimmed_values(text.split(separators)),
    }
}

fn trimmed_values<'t>(values: impl Iterator<Item = &'t str> + Clone) -> Vec<String> {
    let values = values.map(str::trim).filter(|value| !value.is_empty());
    let mut list = Vec::with_capacity(values.clone().count());
    list.extend(values.map(str::to_owned));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_values_are_left_out_and_there_is_no_spare_room() {
        let list = split_trimmed(" new, ,oak;sale;", &[',', ';']);
        assert_eq!(list, ["new", "oak", "sale"]);
        assert_eq!(list.capacity(), 3);
    }
}
