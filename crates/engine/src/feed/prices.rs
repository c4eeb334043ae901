//! Prices of a file: what separates their decimals is decided for all of them together, by
//! every value, and which of two prices is sent is the person's choice.

use super::{
    amount::{self, Amount, Readings},
    currency::Currency,
    findings::Findings,
    header::Column,
    row::ErrorReported,
    sale_period::SalePeriod,
};
use contract::{
    feed::{
        Answer, DecimalExample, DecimalSeparator, PriceChoice, Question, QuestionSubject,
        ReadOptions, SalePrices, ZeroPriceChoice,
    },
    product::{Price, PriceError},
};

/// Maximum number of examples of a question.
const MAX_EXAMPLES: usize = 3;
/// Maximum number of lines that are listed for a question or a note.
pub(super) const MAX_LINES: usize = 20;

/// How prices are understood, decided when all rows are known.
#[derive(Debug)]
pub(super) struct Rules {
    /// Separator of the decimals. Without one, each price can be read in one way only, or the
    /// separator is in question and a provisional point is used.
    pub decimal: Option<DecimalSeparator>,
    pub choice: PriceChoice,
    /// Whether compare-at prices are kept as they are, because an upload chose before.
    pub keeps_compare_at: bool,
    pub sends_drafts: bool,
    pub zero_price: Option<ZeroPriceChoice>,
    /// UTC, ms since 1970.
    pub now: i64,
}

/// A cell of a price, before it is known what separates the decimals.
#[derive(Debug, Default)]
pub(super) enum PriceCell {
    #[default]
    Missing,
    Invalid(PriceError),
    Read(Choices),
    /// A cell with more decimals than are sent, which a note may quote.
    Rounded(Box<(Choices, String)>),
}

/// The amount of a cell under each decimal separator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choices {
    as_point: Option<Amount>,
    as_comma: Option<Amount>,
}

/// The prices of one row. Each product has one, so it is small.
#[derive(Debug, Default)]
pub(super) struct RowPrices {
    /// The regular price; in formats with a compare-at price, the current one.
    pub price: PriceCell,
    pub sale: Option<Box<(PriceCell, SalePeriod)>>,
    pub compare_at: Option<Box<PriceCell>>,
}

impl PriceCell {
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    fn choices(&self) -> Option<Choices> {
        match self {
            Self::Missing | Self::Invalid(_) => None,
            Self::Read(choices) => Some(*choices),
            Self::Rounded(rounded) => Some(rounded.0),
        }
    }
}

/// The price that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FinalPrice {
    pub price: Price,
    pub compare_at: Option<Price>,
}

/// What all prices of a file have in common.
#[derive(Debug, Default)]
pub(super) struct PriceSurvey {
    only_point: u64,
    only_comma: u64,
    ambiguous: u64,
    examples: Vec<DecimalExample>,
    column: String,
    currency: Option<(Currency, u64)>,
    /// The first two different currencies with their lines.
    conflict: Option<[(&'static str, u64); 2]>,
    sales: u64,
    sale_lines: Vec<u64>,
    sales_not_in_force: u64,
    first_sale_not_in_force: Option<u64>,
}

impl PriceSurvey {
    /// Reads a cell, and counts how it can be read.
    pub(super) fn read(&mut self, text: &str, line: u64, column: &Column) -> PriceCell {
        let readings = match amount::read(text) {
            Ok(readings) => readings,
            Err(PriceError::Missing) => return PriceCell::Missing,
            Err(error) => return PriceCell::Invalid(error),
        };
        if let Some(currency) = readings.currency {
            self.add_currency(currency, line);
        }
        match readings.only_separator() {
            Some(DecimalSeparator::Point) => self.only_point += 1,
            Some(DecimalSeparator::Comma) => self.only_comma += 1,
            None if readings.is_ambiguous() => self.add_ambiguous(text, &readings, line, column),
            None => {}
        }
        let Readings { as_point, as_comma, .. } = readings;
        let is_rounded = [as_point, as_comma].into_iter().flatten().any(|a| a.is_rounded);
        let choices = Choices { as_point, as_comma };
        match is_rounded {
            true => PriceCell::Rounded(Box::new((choices, text.trim().to_owned()))),
            false => PriceCell::Read(choices),
        }
    }

    fn add_ambiguous(&mut self, text: &str, readings: &Readings, line: u64, column: &Column) {
        self.ambiguous += 1;
        if self.column.is_empty() {
            self.column.clone_from(&column.name);
        }
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(DecimalExample {
                line,
                text: text.trim().to_owned(),
                as_comma: readings.as_comma.map(|amount| amount.price),
                as_point: readings.as_point.map(|amount| amount.price),
            });
        }
    }

    pub(super) fn add_currency(&mut self, currency: Currency, line: u64) {
        match self.currency {
            None => self.currency = Some((currency, line)),
            Some((known, _)) if known.is_compatible(currency) => {
                if !known.is_certain() && currency.is_certain() {
                    self.currency = Some((currency, line));
                }
            }
            Some((known, first)) => {
                self.conflict.get_or_insert([(known.code, first), (currency.code, line)]);
            }
        }
    }

    /// Returns two different currencies with their lines, if the file has some.
    pub(super) fn conflict(&self) -> Option<[(&'static str, u64); 2]> {
        self.conflict
    }

    pub(super) fn currency(&self) -> Option<(Currency, u64)> {
        self.currency
    }

    /// Returns whether prices use both separators, each in the only way it can be read.
    pub(super) fn is_mixed(&self) -> bool {
        self.only_point > 0 && self.only_comma > 0
    }

    /// Returns what separates the decimals, if the values or the person say so.
    pub(super) fn decimal(&self, chosen: Option<DecimalSeparator>) -> Option<DecimalSeparator> {
        chosen.or(match (self.only_point, self.only_comma) {
            (1.., 0) => Some(DecimalSeparator::Point),
            (0, 1..) => Some(DecimalSeparator::Comma),
            _ => None,
        })
    }

    /// Returns the question what separates the decimals, if no value decides it.
    pub(super) fn question(&self, decimal: Option<DecimalSeparator>) -> Option<Question> {
        let example = self.examples.first().filter(|_| decimal.is_none())?;
        let words = |price: Option<Price>| price.map(|price| price.to_string()).unwrap_or_default();
        let (as_comma, as_point) = (words(example.as_comma), words(example.as_point));
        let text = format!(
            "Does a comma or a point separate the decimals of the prices? “{}” in line {} is \
             {as_comma} or {as_point}.",
            example.text, example.line,
        );
        let answer = |separator: DecimalSeparator, price: &str| Answer {
            value: separator.as_str().to_owned(),
            label: format!("A {separator}: “{}” is {price}", example.text),
        };
        Some(Question {
            text,
            parameter: "decimal".to_owned(),
            answers: vec![
                answer(DecimalSeparator::Comma, &as_comma),
                answer(DecimalSeparator::Point, &as_point),
            ],
            subject: QuestionSubject::Decimal {
                column: self.column.clone(),
                examples: self.examples.clone(),
                count: self.ambiguous,
            },
        })
    }

    /// Returns the reduced prices, and adds notes on them.
    pub(super) fn sale_prices(&self, choice: PriceChoice) -> Option<SalePrices> {
        (self.sales + self.sales_not_in_force > 0).then(|| SalePrices {
            count: self.sales,
            lines: self.sale_lines.clone(),
            not_in_force: self.sales_not_in_force,
            sent: choice,
        })
    }

    /// Returns notes on reduced prices, each with the first line that it is about.
    pub(super) fn sale_notes(&self, choice: PriceChoice) -> Vec<(u64, String)> {
        let rows = |count: u64| match count {
            1 => "the row has".to_owned(),
            _ => format!("{count} rows from here on have"),
        };
        let in_force = self.sale_lines.first().map(|line| {
            let rows = rows(self.sales);
            let sent = match choice {
                PriceChoice::Regular => "the regular price is sent, not the reduced one",
                PriceChoice::Sale => "the reduced price is sent",
            };
            (*line, format!("{rows} a reduced price: {sent}"))
        });
        let not_in_force = self.first_sale_not_in_force.map(|line| {
            let rows = rows(self.sales_not_in_force);
            let why = "that is not in force today: the regular price is sent";
            (line, format!("{rows} a reduced price {why}"))
        });
        in_force.into_iter().chain(not_in_force).collect()
    }

    fn count_sale(&mut self, line: u64) {
        self.sales += 1;
        if self.sale_lines.len() < MAX_LINES {
            self.sale_lines.push(line);
        }
    }

    fn count_sale_not_in_force(&mut self, line: u64) {
        self.sales_not_in_force += 1;
        self.first_sale_not_in_force.get_or_insert(line);
    }
}

impl Rules {
    pub(super) fn new(
        options: &ReadOptions,
        decimal: Option<DecimalSeparator>,
        keeps_compare_at: bool,
        now: i64,
    ) -> Self {
        Self {
            decimal,
            choice: options.price_choice(),
            keeps_compare_at,
            sends_drafts: options.sends_drafts(),
            zero_price: options.zero_price,
            now,
        }
    }

    /// Returns the amount of a cell; `None` if it has none.
    fn amount(&self, cell: &PriceCell) -> Result<Option<Amount>, PriceError> {
        if let PriceCell::Invalid(error) = cell {
            return Err(*error);
        }
        let Some(Choices { as_point, as_comma }) = cell.choices() else { return Ok(None) };
        let decimal = self.decimal.unwrap_or(DecimalSeparator::Point);
        Ok(Readings { as_point, as_comma, currency: None }.amount(decimal))
    }

    /// Returns whether a cell can be read in two ways, of which none is chosen yet.
    fn is_provisional(&self, cell: &PriceCell) -> bool {
        let is_both = |choices: Choices| choices.as_point.is_some() && choices.as_comma.is_some();
        self.decimal.is_none() && cell.choices().is_some_and(is_both)
    }

    /// Returns the price of a row; `None` if its cell is empty.
    ///
    /// # Errors
    /// A price can't be read. The error is reported.
    pub(super) fn resolve(
        &self,
        prices: &RowPrices,
        line: u64,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<Option<FinalPrice>, ErrorReported> {
        let amount = self.amount(&prices.price).map_err(|error| {
            findings.report_error(line, Some(&column.name), &error.to_string());
            ErrorReported
        })?;
        let Some(Amount { price, is_rounded }) = amount else { return Ok(None) };
        if is_rounded && !self.is_provisional(&prices.price) {
            note_rounding(&prices.price, price, line, findings);
        }
        let other = |cell| self.amount(cell).ok().flatten().map(|amount: Amount| amount.price);
        if let Some((sale, period)) = prices.sale.as_deref()
            && let Some(sale) = other(sale)
        {
            return Ok(Some(self.apply_sale(price, sale, *period, line, findings)));
        }
        let compare_at = prices.compare_at.as_deref().and_then(other);
        let compare_at = compare_at.filter(|compare_at| *compare_at > price);
        Ok(Some(match compare_at {
            Some(_) if self.keeps_compare_at => FinalPrice { price, compare_at },
            Some(regular) => {
                findings.prices.count_sale(line);
                self.choose(regular, price)
            }
            None => FinalPrice { price, compare_at: None },
        }))
    }

    fn choose(&self, regular: Price, reduced: Price) -> FinalPrice {
        match self.choice {
            PriceChoice::Regular => FinalPrice { price: regular, compare_at: None },
            PriceChoice::Sale => FinalPrice { price: reduced, compare_at: Some(regular) },
        }
    }

    fn apply_sale(
        &self,
        regular: Price,
        sale: Price,
        period: SalePeriod,
        line: u64,
        findings: &mut Findings,
    ) -> FinalPrice {
        let unreduced = FinalPrice { price: regular, compare_at: None };
        if sale >= regular {
            if sale > regular {
                let text = format!(
                    "the reduced price {sale} is not below the regular price {regular}: the \
                     regular price is sent"
                );
                findings.add_note(line, text);
            }
            unreduced
        } else if period.includes(self.now) {
            findings.prices.count_sale(line);
            self.choose(regular, sale)
        } else {
            findings.prices.count_sale_not_in_force(line);
            unreduced
        }
    }
}

fn note_rounding(cell: &PriceCell, price: Price, line: u64, findings: &mut Findings) {
    if let PriceCell::Rounded(rounded) = cell {
        let text = &rounded.1;
        findings.add_note(line, format!("the price {text} is rounded to {price}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(texts: &[&str]) -> PriceSurvey {
        let column = Column { index: 0, name: "price".into() };
        let mut survey = PriceSurvey::default();
        for (line, text) in (2..).zip(texts) {
            survey.read(text, line, &column);
        }
        survey
    }

    #[test]
    fn the_separator_is_decided_by_every_value() {
        use DecimalSeparator::{Comma, Point};
        for (texts, decimal, is_question) in [
            (&["1", "20", "300"][..], None, false),
            (&["1.50", "20"], Some(Point), false),
            (&["1,50", "20"], Some(Comma), false),
            (&["19,90", "1.500", "89,00"], Some(Comma), false),
            (&["1.500", "2.250"], None, true),
            (&["1,800", "1.355"], None, true),
            (&["1.500", "x", "", "7"], None, true),
            (&["30.825", "8.264463"], Some(Point), false),
            (&["1.500", "0.500"], Some(Point), false),
            (&["1.500", "1.234.567"], Some(Comma), false),
            (&["1,50", "1.50"], None, false),
            (&["1,50", "1.50", "1.500"], None, true),
        ] {
            let survey = survey(texts);
            assert_eq!(survey.decimal(None), decimal, "{texts:?}");
            assert_eq!(survey.question(decimal).is_some(), is_question, "{texts:?}");
            assert_eq!(survey.decimal(Some(Comma)), Some(Comma));
        }
    }

    #[test]
    fn the_question_has_examples_with_both_readings() {
        let question = survey(&["1.500", "2.250", "3.000", "4.125"]).question(None);
        let Some(Question { subject, text, .. }) = question else { panic!("a question") };
        let QuestionSubject::Decimal { column, examples, count } = subject else {
            panic!("a question of decimals")
        };
        assert_eq!((column.as_str(), examples.len(), count), ("price", 3, 4));
        assert_eq!(examples[1].as_comma, Some(Price(225_000)));
        assert_eq!(examples[1].as_point, Some(Price(225)));
        assert!(text.contains("“1.500” in line 2 is 1500.00 or 1.50"), "{text}");
    }

    #[test]
    fn two_currencies_are_a_conflict_and_a_code_makes_a_sign_certain() {
        let found = survey(&["$1.00", "2.00 USD", "3"]);
        assert_eq!(found.currency().map(|(currency, _)| currency.code), Some("USD"));
        assert_eq!(found.conflict(), None);
        assert_eq!(survey(&["$1.00", "A$2.00"]).currency().map(|(c, _)| c.code), Some("AUD"));
        assert_eq!(survey(&["1 €", "3", "$2"]).conflict(), Some([("EUR", 2), ("USD", 4)]));
    }
}
