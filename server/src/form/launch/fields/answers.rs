//! A person's answers to the questions about a file. The fields have the names and values of
//! the API's parameters.

use crate::problem::Problem;
use axum::http::StatusCode;
use contract::{
    feed::{
        ColumnMapping, DecimalSeparator, DraftChoice, Encoding, Field, PriceChoice, ReadOptions,
        ZeroPriceChoice,
    },
    text,
};
use std::{collections::HashSet, fmt::Display, str::FromStr};

/// Maximum number of columns of a file, each of which may have a field in the form.
const MAX_COLUMNS: usize = 1_000;

/// Answers of a form, and what it was rendered with.
#[derive(Default)]
pub struct Answers {
    options: ReadOptions,
    /// Fields that columns were assigned to, in the order of the form.
    pairs: Vec<(Field, String)>,
    /// Mapping that the form was rendered with.
    shown_map: ColumnMapping,
    /// Sheet that the other answers are about.
    shown_sheet: Option<String>,
    is_checked: bool,
}

impl Answers {
    /// Names of the fields.
    pub const FIELDS: [&str; 10] = [
        "map",
        "decimal",
        "price",
        "drafts",
        "zero_price",
        "sheet",
        "encoding",
        "shown_map",
        "shown_sheet",
        "checked",
    ];

    /// Adds the value of one of the [`FIELDS`](Self::FIELDS).
    ///
    /// # Errors
    /// 422 for a value that the form doesn't offer.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if value.is_empty() {
            return Ok(());
        }
        if name == "shown_map" {
            self.shown_map = parse_mapping(name, value)?;
            return Ok(());
        }
        text::PARAMETER.check(value)?;
        match name {
            "map" => {
                let ColumnMapping(pairs) = parse_mapping(name, value)?;
                self.pairs.extend(pairs);
                if self.pairs.len() > MAX_COLUMNS {
                    let detail = format!("`map` names more than {MAX_COLUMNS} columns.");
                    return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
                }
            }
            "decimal" => {
                self.options.decimal = Some(parse(name, value, DecimalSeparator::ALL)?);
            }
            "price" => self.options.price = Some(parse(name, value, PriceChoice::ALL)?),
            "drafts" => self.options.drafts = Some(parse(name, value, DraftChoice::ALL)?),
            "zero_price" => {
                self.options.zero_price = Some(parse(name, value, ZeroPriceChoice::ALL)?);
            }
            "sheet" => self.options.sheet = Some(value.to_owned()),
            "encoding" => self.options.encoding = Some(parse(name, value, Encoding::ALL)?),
            "shown_sheet" => self.shown_sheet = Some(value.to_owned()),
            _ => self.is_checked = true,
        }
        Ok(())
    }

    /// Returns how the file is read, and whether the person saw the result of reading it.
    pub fn finish(self) -> (ReadOptions, bool) {
        let Self { mut options, pairs, shown_map, shown_sheet, is_checked } = self;
        if is_checked && options.sheet.is_some() && options.sheet != shown_sheet {
            // Another sheet is another file: the other answers are not about it.
            let sheet = options.sheet;
            return (ReadOptions { sheet, ..ReadOptions::default() }, false);
        }
        options.map = ColumnMapping(without_moved(pairs, &shown_map));
        (options, is_checked)
    }
}

/// Returns the pairs without the columns that a field was taken from: without scripts, a person
/// who chooses a field for a column doesn't take it off the column that had it.
fn without_moved(mut pairs: Vec<(Field, String)>, shown: &ColumnMapping) -> Vec<(Field, String)> {
    let is_new = |pair: &(Field, String)| !shown.0.contains(pair);
    let moved: HashSet<_> =
        pairs.iter().filter(|pair| is_new(pair)).map(|(field, _)| *field).collect();
    let mut seen = HashSet::new();
    pairs.retain(|pair| {
        let field = pair.0;
        let may_repeat = matches!(field, Field::Image | Field::OptionValue | Field::NotRead);
        let is_moved = moved.contains(&field) && !is_new(pair);
        may_repeat || (!is_moved && seen.insert(field))
    });
    pairs
}

fn parse_mapping(name: &str, value: &str) -> Result<ColumnMapping, Problem> {
    value.parse().map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{name}`: {error}."))
    })
}

fn parse<T: FromStr + Display>(name: &str, value: &str, allowed: &[T]) -> Result<T, Problem> {
    value.parse().map_err(|_| {
        let allowed = allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let detail = format!("`{name}` is {value:?}; allowed: {allowed}.");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answers(fields: &[(&str, &str)]) -> (ReadOptions, bool) {
        let mut answers = Answers::default();
        for (name, value) in fields {
            answers.add(name, value).unwrap();
        }
        answers.finish()
    }

    #[test]
    fn fields_have_the_values_of_the_api() {
        let (options, is_checked) = answers(&[
            ("checked", "true"),
            ("map", ""),
            ("map", "sku:#1"),
            ("map", "price:VK\\, netto"),
            ("map", "not_read:#4"),
            ("map", "not_read:#5"),
            ("decimal", "comma"),
            ("price", "sale"),
            ("drafts", "send"),
            ("zero_price", "leave_out"),
            ("sheet", "Artikel"),
            ("shown_sheet", "Artikel"),
            ("encoding", "windows-1250"),
        ]);
        assert!(is_checked);
        assert_eq!(options.encoding, Some(Encoding::Windows1250));
        assert_eq!(options.map.to_string(), "sku:#1,price:VK\\, netto,not_read:#4,not_read:#5");
        assert_eq!(options.decimal, Some(DecimalSeparator::Comma));
        assert_eq!(options.price, Some(PriceChoice::Sale));
        assert_eq!(options.drafts, Some(DraftChoice::Send));
        assert_eq!(options.zero_price, Some(ZeroPriceChoice::LeaveOut));
        assert_eq!(options.sheet.as_deref(), Some("Artikel"));
        assert_eq!(answers(&[]), (ReadOptions::default(), false));
    }

    #[test]
    fn field_moves_to_the_column_that_was_chosen_last() {
        for (shown, pairs, expected) in [
            ("sku:#1", &["sku:#1", "sku:#3"][..], "sku:#3"),
            ("sku:#3", &["sku:#1", "sku:#3"], "sku:#1"),
            ("sku:#3,price:#2", &["sku:#1", "price:#2", "sku:#3"], "sku:#1,price:#2"),
            ("", &["sku:#1", "sku:#3"], "sku:#1"),
            ("image:#1", &["image:#1", "image:#2"], "image:#1,image:#2"),
        ] {
            let fields = pairs.iter().map(|pair| ("map", *pair)).chain([("shown_map", shown)]);
            let map = answers(&fields.collect::<Vec<_>>()).0.map.to_string();
            assert_eq!(map, expected, "{pairs:?} in a form that showed {shown:?}");
        }
    }

    #[test]
    fn answers_about_another_sheet_are_dropped() {
        let form = |sheet| {
            answers(&[
                ("checked", "true"),
                ("shown_sheet", "Artikel"),
                ("sheet", sheet),
                ("map", "sku:#1"),
                ("decimal", "comma"),
            ])
        };
        let (options, is_checked) = form("Preise");
        assert!(!is_checked, "the result for the other sheet was not seen");
        let sheet = Some("Preise".to_owned());
        assert_eq!(options, ReadOptions { sheet, ..ReadOptions::default() });
        assert_eq!(form("Artikel").0.decimal, Some(DecimalSeparator::Comma));
    }

    #[test]
    fn value_that_the_form_does_not_offer_is_rejected() {
        for (name, value, words) in [
            ("decimal", "dot", "allowed: comma, point"),
            ("price", "both", "allowed: regular, sale"),
            ("map", "isbn:#1", "there is no field \"isbn\""),
            ("map", "sku", "names no column"),
            ("sheet", "a\u{1}", "control character"),
        ] {
            let problem = Answers::default().add(name, value).unwrap_err();
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(problem.detail.contains(words), "{}", problem.detail);
        }
        let many = vec!["image:#1"; 100].join(",");
        let mut answers = Answers::default();
        let rejected = (0..20).find_map(|_| answers.add("map", &many).err()).unwrap();
        assert!(rejected.detail.contains("more than 1000 columns"), "{}", rejected.detail);
    }
}
