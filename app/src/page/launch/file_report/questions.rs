//! Questions about a file, and choices that have a default.

use super::{Choice, ChoiceOption};
use crate::labels;
use contract::{
    api::DryRun,
    feed::{
        DecimalExample, DecimalSeparator, DraftChoice, Encoding, Field, LeftOutCount, LeftOutKind,
        PriceChoice, QuestionSubject, ReadOptions, ZeroPriceChoice,
    },
};
use engine::feed::read_price;

/// Maximum number of prices that are shown as examples of how they are read.
const MAX_READ_EXAMPLES: usize = 3;

/// Kinds of products that are not for sale.
const NOT_FOR_SALE: [LeftOutKind; 4] =
    [LeftOutKind::Draft, LeftOutKind::Archived, LeftOutKind::Private, LeftOutKind::Unpublished];

/// Returns a number with its noun, such as `3 drafts`.
pub fn count_of_kind(of_kind: &LeftOutCount) -> String {
    let number = labels::group_thousands(of_kind.count);
    format!("{number} {}", of_kind.kind.noun(of_kind.count))
}

/// Returns the encoding of the file, if it was guessed from its letters or was chosen.
pub fn encoding(run: &DryRun, options: &ReadOptions) -> Option<Choice> {
    let is_certain = |encoding: Encoding| {
        matches!(encoding, Encoding::Utf8 | Encoding::Utf16Le | Encoding::Utf16Be)
    };
    if is_certain(run.encoding) && options.encoding.is_none() || run.sheet.is_some() {
        return None;
    }
    // The guessed encoding has an empty value, so that the form sends only what a person chose.
    let value = |encoding: Encoding| match encoding == run.encoding && options.encoding.is_none() {
        true => "",
        false => encoding.as_str(),
    };
    let offered = Encoding::ALL
        .iter()
        .filter(|encoding| !matches!(encoding, Encoding::Utf16Le | Encoding::Utf16Be));
    Some(Choice {
        parameter: "encoding".into(),
        title: "Encoding".into(),
        options: offered.map(|encoding| option(value(*encoding), encoding.name())).collect(),
        chosen: Some(value(run.encoding).into()),
        ..Choice::default()
    })
}

/// Returns the sheet that was read, if the workbook has several.
pub fn sheet(run: &DryRun) -> Option<Choice> {
    (run.sheets.len() > 1).then(|| Choice {
        parameter: "sheet".into(),
        title: "Sheet".into(),
        options: run.sheets.iter().map(|sheet| option(sheet, sheet.as_str())).collect(),
        chosen: run.sheet.clone(),
        ..Choice::default()
    })
}

/// Returns what separates the decimals of prices, if that is in question or was answered.
pub fn decimal(run: &DryRun, options: &ReadOptions) -> Option<Choice> {
    let question = run.questions.iter().find_map(|question| match &question.subject {
        QuestionSubject::Decimal { column, examples, count } => Some((column, examples, *count)),
        _ => None,
    });
    let choice = Choice {
        parameter: "decimal".into(),
        title: "What separates the decimals of the prices?".into(),
        ..Choice::default()
    };
    if let Some((column, examples, count)) = question {
        let by = |separator| readings(examples, separator);
        return Some(Choice {
            is_question: true,
            detail: Some(format!(
                "{} in the column “{column}” can be read in two ways.",
                labels::count_noun(count, "price")
            )),
            options: vec![
                option(DecimalSeparator::Comma.as_str(), by(DecimalSeparator::Comma)),
                option(DecimalSeparator::Point.as_str(), by(DecimalSeparator::Point)),
            ],
            ..choice
        });
    }
    let chosen = options.decimal?;
    Some(Choice {
        detail: read_examples(run, chosen),
        options: vec![
            option(DecimalSeparator::Comma.as_str(), "A comma, as in 1.299,00"),
            option(DecimalSeparator::Point.as_str(), "A point, as in 1,299.00"),
        ],
        chosen: Some(chosen.as_str().into()),
        ..choice
    })
}

/// Returns how examples are read, such as `1.500 is 1,500.00`.
fn readings(examples: &[DecimalExample], separator: DecimalSeparator) -> String {
    let reading = |example: &DecimalExample| match example.with(separator) {
        Some(price) => format!("{} is {}", example.text, labels::price(price)),
        None => format!("{} is no price", example.text),
    };
    examples.iter().map(reading).collect::<Vec<_>>().join(" · ")
}

/// Returns how prices of the file are read, such as `1.500 → 1,500.00`. Those that the separator
/// makes a difference to come first.
fn read_examples(run: &DryRun, separator: DecimalSeparator) -> Option<String> {
    let is_price = |field| matches!(field, Field::Price | Field::SalePrice | Field::CompareAtPrice);
    let columns = run.columns.iter().filter(|column| column.field.is_some_and(is_price));
    let mut texts: Vec<_> = columns.flat_map(|column| &column.examples).collect();
    let is_clear = |text: &str| {
        read_price(text, DecimalSeparator::Comma) == read_price(text, DecimalSeparator::Point)
    };
    texts.sort_by_key(|text| is_clear(text));
    let reading =
        |text: &String| Some(format!("{text} → {}", labels::price(read_price(text, separator)?)));
    let examples: Vec<_> = texts.into_iter().filter_map(reading).take(MAX_READ_EXAMPLES).collect();
    (!examples.is_empty()).then(|| format!("Read as {}", examples.join(" · ")))
}

/// Returns what happens to products at 0.00, if that is in question or was answered.
pub fn zero_price(run: &DryRun, options: &ReadOptions) -> Option<Choice> {
    let question = run.questions.iter().find_map(|question| match &question.subject {
        QuestionSubject::ZeroPrice { count, lines } => Some((*count, lines)),
        _ => None,
    });
    let choice = Choice {
        parameter: "zero_price".into(),
        options: vec![
            option(ZeroPriceChoice::LeaveOut.as_str(), "No, leave out what costs 0.00"),
            option(ZeroPriceChoice::Send.as_str(), "Yes, at 0.00"),
        ],
        ..Choice::default()
    };
    if let Some((count, lines)) = question {
        let (verb, them) = if count == 1 { ("costs", "Is it") } else { ("cost", "Are they") };
        let title = format!("{} {verb} 0.00. {them} sent?", labels::count_noun(count, "product"));
        let detail = Some(lines_sentence(lines, count));
        return Some(Choice { is_question: true, title, detail, ..choice });
    }
    let chosen = options.zero_price?;
    Some(Choice {
        title: "Are products at 0.00 sent?".into(),
        chosen: Some(chosen.as_str().into()),
        ..choice
    })
}

/// Returns the lines of a number of rows as a sentence.
fn lines_sentence(lines: &[u64], count: u64) -> String {
    format!("{}.", labels::sentence_case(&labels::line_numbers(lines, count)))
}

/// Returns which of two prices is sent, if the file has sale prices.
pub fn price(run: &DryRun) -> Option<Choice> {
    let sale = run.sale_prices.as_ref()?;
    let not_in_force = (sale.not_in_force > 0).then(|| {
        let verb = if sale.not_in_force == 1 { "is" } else { "are" };
        format!(
            "{} {verb} over or {} not begun, and {verb} not sent.",
            labels::count_noun(sale.not_in_force, "sale"),
            if sale.not_in_force == 1 { "has" } else { "have" },
        )
    });
    let choice = Choice { parameter: "price".into(), ..Choice::default() };
    if sale.count == 0 {
        return not_in_force.map(|title| Choice { title, ..choice });
    }
    let verb = if sale.count == 1 { "has" } else { "have" };
    Some(Choice {
        title: format!(
            "{} {verb} a sale price. Which price is sent?",
            labels::count_noun(sale.count, "row")
        ),
        detail: Some(match not_in_force {
            Some(not_in_force) => {
                format!("{} {not_in_force}", lines_sentence(&sale.lines, sale.count))
            }
            None => lines_sentence(&sale.lines, sale.count),
        }),
        options: vec![
            option(PriceChoice::Regular.as_str(), "The regular price"),
            option(
                PriceChoice::Sale.as_str(),
                "The sale price, with the regular price as compare-at price",
            ),
        ],
        chosen: Some(sale.sent.as_str().into()),
        ..choice
    })
}

/// Returns what happens to products that are not for sale, if some are left out or sent.
pub fn drafts(run: &DryRun, options: &ReadOptions) -> Option<Choice> {
    let of_kind = run.left_out.by_kind.iter().filter(|count| NOT_FOR_SALE.contains(&count.kind));
    let counts: Vec<_> = of_kind.map(count_of_kind).collect();
    if counts.is_empty() && !options.sends_drafts() {
        return None;
    }
    let chosen = if options.sends_drafts() { DraftChoice::Send } else { DraftChoice::LeaveOut };
    let found = match counts.is_empty() {
        true => String::new(),
        false => format!(": {}", labels::enumerate(&counts)),
    };
    Some(Choice {
        parameter: "drafts".into(),
        title: format!("Products that are not for sale{found}"),
        options: vec![
            option(DraftChoice::LeaveOut.as_str(), "Leave them out"),
            option(DraftChoice::Send.as_str(), "Send them as drafts, where a channel has drafts"),
        ],
        chosen: Some(chosen.as_str().into()),
        ..Choice::default()
    })
}

fn option(value: &str, label: impl Into<String>) -> ChoiceOption {
    ChoiceOption { value: value.into(), label: label.into() }
}
