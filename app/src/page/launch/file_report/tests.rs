//! Tests of what a person reads about a file.

#![allow(clippy::unwrap_used)]
use super::{Choice, FileReport, ReadFile};
use contract::{
    api::DryRun,
    feed::{
        ColumnInfo, DecimalExample, DecimalSeparator, Delimiter, DraftChoice, Encoding, FeedNote,
        Field, Format, LeftOut, LeftOutKind, LeftOutRow, MissingField, PriceChoice, Question,
        QuestionSubject, ReadOptions, SalePrices, ZeroPriceChoice,
    },
    product::{Price, Product, ProductStatus, Variant},
};
use engine::engine::RememberedColumns;

fn report(run: DryRun, options: ReadOptions) -> FileReport {
    ReadFile { run, options, remembered: None, problem: None }.into()
}

fn column(position: u32, name: &str, field: Option<Field>) -> ColumnInfo {
    ColumnInfo { position, name: name.into(), examples: vec!["a".into(), "b".into()], field }
}

fn question(parameter: &str, subject: QuestionSubject) -> Question {
    let text = "for programs".into();
    Question { subject, text, parameter: parameter.into(), answers: Vec::new() }
}

fn options_of(choice: &Choice) -> Vec<(&str, &str)> {
    choice.options.iter().map(|option| (&*option.value, &*option.label)).collect()
}

#[test]
fn summary_says_what_was_understood() {
    let csv = DryRun { products: 150, rows: 150, ..DryRun::default() };
    let export = DryRun {
        format: Format::Shopify,
        delimiter: Delimiter::Semicolon,
        encoding: Encoding::Windows1252,
        decimal: Some(DecimalSeparator::Comma),
        currency: Some("EUR".into()),
        products: 1,
        variants: 3,
        rows: 3,
        ..DryRun::default()
    };
    let workbook = DryRun {
        sheets: vec!["Hinweise".into(), "Artikel".into()],
        sheet: Some("Artikel".into()),
        currency: Some("CHF".into()),
        products: 2,
        rows: 2,
        ..DryRun::default()
    };
    for (run, summary) in [
        (csv, "plain CSV, comma between cells: 150 products from 150 rows."),
        (
            export,
            "Shopify export in Windows-1252, semicolon between cells: 1 product from 3 rows, with \
             3 variants. Prices have a decimal comma and are in EUR.",
        ),
        (
            workbook,
            "plain list in the sheet “Artikel” of a workbook: 2 products from 2 rows. Prices are \
             in CHF.",
        ),
    ] {
        assert_eq!(report(run, ReadOptions::default()).summary, summary);
    }
}

#[test]
fn encoding_can_be_changed_where_it_was_guessed() {
    let run = |encoding| DryRun { encoding, ..DryRun::default() };
    for certain in [Encoding::Utf8, Encoding::Utf16Le] {
        assert_eq!(report(run(certain), ReadOptions::default()).encoding, None);
    }
    let value_of = |choice: &Choice, name: &str| {
        choice.options.iter().find(|option| option.label == name).unwrap().value.clone()
    };
    let guessed = report(run(Encoding::Windows1252), ReadOptions::default()).encoding.unwrap();
    assert_eq!(guessed.chosen.as_deref(), Some(""));
    assert_eq!(value_of(&guessed, "Windows-1252"), "");
    assert_eq!(value_of(&guessed, "Windows-1250"), "windows-1250");
    let encoding = Some(Encoding::Windows1250);
    let options = ReadOptions { encoding, ..ReadOptions::default() };
    let chosen = report(run(Encoding::Windows1250), options).encoding.unwrap();
    assert_eq!(chosen.chosen.as_deref(), Some("windows-1250"));
    assert_eq!(value_of(&chosen, "Windows-1252"), "windows-1252");
}

#[test]
fn columns_are_sent_only_where_a_person_changed_them() {
    let columns = vec![
        column(1, "Kürzel", Some(Field::Sku)),
        column(2, "Artikel", Some(Field::Title)),
        column(3, "", None),
        column(4, "Option1 Name", Some(Field::OptionName)),
        column(5, "EK", Some(Field::NotRead)),
    ];
    let map = "sku:Kürzel,not_read:#5".parse().unwrap();
    let run = DryRun { columns, ..DryRun::default() };
    let report = report(run, ReadOptions { map, ..ReadOptions::default() });
    assert_eq!(report.map, "sku:#1,not_read:#5");
    let form = report.columns.unwrap();
    assert_eq!((form.title.as_str(), form.is_question), ("3 of 5 columns are read", false));
    let values =
        |row: usize, fields: [&str; 3]| fields.map(|field| form.rows[row].map_value(field));
    assert_eq!(values(0, ["sku", "title", "not_read"]), ["sku:#1", "title:#1", "not_read:#1"]);
    assert_eq!(values(1, ["sku", "title", "not_read"]), ["sku:#2", "", "not_read:#2"]);
    assert_eq!(values(2, ["sku", "title", "not_read"]), ["sku:#3", "title:#3", ""]);
    assert_eq!(values(3, ["sku", "option_name", "not_read"]), ["sku:#4", "", "not_read:#4"]);
    assert_eq!(values(4, ["sku", "title", "not_read"]), ["sku:#5", "title:#5", "not_read:#5"]);
    assert_eq!((form.rows[2].name.as_str(), form.rows[2].examples.as_str()), ("Column 3", "a · b"));
    assert_eq!(form.rows[3].other_field.as_deref(), Some("name of an option"));
}

#[test]
fn remembered_columns_say_who_chose_them() {
    let remembered = RememberedColumns {
        map: "sku:#1".parse().unwrap(),
        chosen_by: "ada@example.com".into(),
        chosen_at: 1_795_487_628_823,
    };
    let run = DryRun { columns: vec![column(1, "Kürzel", None)], ..DryRun::default() };
    let options = ReadOptions::default();
    let file = ReadFile { run, options, remembered: Some(remembered), problem: None };
    let form = FileReport::from(file).columns.unwrap();
    assert!(form.is_remembered);
    assert_eq!(form.title, "Columns as chosen by ada@example.com on 24 Nov 2026");
}

#[test]
fn too_many_columns_are_cut_to_those_that_matter() {
    let mut columns: Vec<_> = (1..=300).map(|n| column(n, &format!("meta {n}"), None)).collect();
    columns[250].field = Some(Field::Price);
    let missing = vec![MissingField { field: Field::Sku, candidates: vec!["meta 300".into()] }];
    let questions = vec![question("map", QuestionSubject::Columns { missing })];
    let form = report(DryRun { columns, questions, ..DryRun::default() }, ReadOptions::default());
    let form = form.columns.unwrap();
    let positions: Vec<_> = form.rows.iter().map(|row| row.position).collect();
    assert_eq!((positions.len(), form.more), (200, 100));
    assert_eq!(positions[196..], [197, 198, 251, 300]);
    assert_eq!((form.title.as_str(), form.is_question), ("Which column has the SKU?", true));
    let field = |field| MissingField { field, candidates: Vec::new() };
    let missing = Field::REQUIRED.map(field).to_vec();
    let questions = vec![question("map", QuestionSubject::Columns { missing })];
    let columns = vec![column(1, "Was", None)];
    let form = report(DryRun { columns, questions, ..DryRun::default() }, ReadOptions::default());
    let title = "Which columns have the SKU, the title and the price?";
    assert_eq!(form.columns.unwrap().title, title);
}

#[test]
fn ambiguous_prices_are_shown_both_ways_and_the_answer_stays() {
    let example = |text: &str, comma, point| DecimalExample {
        line: 2,
        text: text.into(),
        as_comma: comma,
        as_point: point,
    };
    let examples = vec![
        example("1.500", Some(Price(150_000)), Some(Price(150))),
        example("12.345", Some(Price(1_234_500)), None),
    ];
    let subject = QuestionSubject::Decimal { column: "VK".into(), examples, count: 2 };
    let run = DryRun { questions: vec![question("decimal", subject)], ..DryRun::default() };
    let open = report(run, ReadOptions::default());
    assert_eq!(open.counts.questions, 1);
    let open = open.decimal.unwrap();
    assert!(open.is_question && open.chosen.is_none());
    let labels = [
        ("comma", "1.500 is 1,500.00 · 12.345 is 12,345.00"),
        ("point", "1.500 is 1.50 · 12.345 is no price"),
    ];
    assert_eq!(options_of(&open), labels);
    let detail = "2 prices in the column “VK” can be read in two ways.";
    assert_eq!(open.detail.as_deref(), Some(detail));
    let decimal = Some(DecimalSeparator::Comma);
    let examples = ["12", "1.500", "n/a"].map(Into::into).to_vec();
    let price = ColumnInfo { examples, ..column(3, "VK", Some(Field::Price)) };
    let run =
        DryRun { columns: vec![column(1, "SKU", Some(Field::Sku)), price], ..DryRun::default() };
    let answered = report(run, ReadOptions { decimal, ..ReadOptions::default() });
    let answered = answered.decimal.unwrap();
    assert_eq!(answered.detail.as_deref(), Some("Read as 1.500 → 1,500.00 · 12 → 12.00"));
    assert_eq!((answered.is_question, answered.chosen.as_deref()), (false, Some("comma")));
    assert_eq!(report(DryRun::default(), ReadOptions::default()).decimal, None);
}

#[test]
fn products_at_nothing_are_asked_for_once() {
    let subject = QuestionSubject::ZeroPrice { count: 3, lines: vec![2, 7] };
    let run = DryRun { questions: vec![question("zero_price", subject)], ..DryRun::default() };
    let open = report(run, ReadOptions::default()).zero_price.unwrap();
    assert_eq!(open.title, "3 products cost 0.00. Are they sent?");
    assert_eq!(open.detail.as_deref(), Some("Lines 2, 7 and 1 more."));
    assert_eq!(open.options.len(), 2);
    let zero_price = Some(ZeroPriceChoice::Send);
    let answered = report(DryRun::default(), ReadOptions { zero_price, ..ReadOptions::default() });
    assert_eq!(answered.zero_price.unwrap().chosen.as_deref(), Some("send"));
}

#[test]
fn choices_with_a_default_are_said_where_they_matter() {
    let mut left_out = LeftOut::default();
    for (line, kind) in
        [(3, LeftOutKind::Draft), (5, LeftOutKind::Grouped), (6, LeftOutKind::Draft)]
    {
        let (column, reason) = (Some("Published".into()), "it is a draft".into());
        left_out.push(LeftOutRow { line, column, reason, kind });
    }
    let sale = SalePrices { count: 1, lines: vec![4], not_in_force: 2, sent: PriceChoice::Regular };
    let run = DryRun { left_out, sale_prices: Some(sale), ..DryRun::default() };
    let shown = report(run, ReadOptions::default());
    let drafts = shown.drafts.unwrap();
    assert_eq!(drafts.title, "Products that are not for sale: 2 drafts");
    assert_eq!(drafts.chosen.as_deref(), Some("leave_out"));
    let price = shown.price.unwrap();
    assert_eq!(price.title, "1 row has a sale price. Which price is sent?");
    let detail = "Line 4. 2 sales are over or have not begun, and are not sent.";
    assert_eq!(price.detail.as_deref(), Some(detail));
    assert_eq!(price.chosen.as_deref(), Some("regular"));
    let list = shown.left_out;
    assert_eq!(list.list.title, "3 rows are left out: 2 drafts and 1 grouped product");
    assert_eq!(list.kinds, ["2 drafts: lines 3 and 6", "1 grouped product: line 5"]);
    assert_eq!(list.list.rows.len(), 3);

    let drafts = Some(DraftChoice::Send);
    let sent = report(DryRun::default(), ReadOptions { drafts, ..ReadOptions::default() });
    assert_eq!(sent.drafts.unwrap().chosen.as_deref(), Some("send"));
    let over =
        SalePrices { count: 0, lines: Vec::new(), not_in_force: 1, sent: PriceChoice::Regular };
    let run = DryRun { sale_prices: Some(over), ..DryRun::default() };
    let over = report(run, ReadOptions::default()).price.unwrap();
    assert_eq!(over.title, "1 sale is over or has not begun, and is not sent.");
    assert!(over.options.is_empty());
}

#[test]
fn notes_are_counted_and_products_have_their_price() {
    let note = |line| FeedNote { line, text: "the SKU was derived".into() };
    let product = Product {
        currency: Some("EUR".into()),
        compare_at_price: Some(Price(159_900)),
        status: ProductStatus::Draft,
        variants: vec![Variant::default(), Variant::default()],
        ..Product::new("L-1", "Lamp", Price(129_900))
    };
    let run = DryRun {
        notes: vec![note(2), note(3)],
        note_count: 312,
        preview: vec![product],
        bad_row_count: 2,
        ..DryRun::default()
    };
    let shown = report(run, ReadOptions::default());
    assert_eq!(shown.notes.title, "2 of 312 notes on how the file was read");
    assert_eq!(shown.notes.notes[0], "Line 2: the SKU was derived");
    let row = &shown.preview[0];
    assert_eq!((row.price.as_str(), row.detail.as_str()), ("1,299.00 EUR", "2 variants, draft"));
    assert_eq!(row.compare_at_price.as_deref(), Some("1,599.00 EUR"));
    assert_eq!(shown.bad_rows.title, "2 rows can't be uploaded. There is nothing to upload.");
}
