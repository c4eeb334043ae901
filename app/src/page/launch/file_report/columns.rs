//! The columns of a file, for the form in which a person says which is which.

use super::{ColumnForm, ColumnRow};
use crate::labels;
use contract::{
    api::DryRun,
    feed::{ColumnInfo, Field, MissingField, QuestionSubject, ReadOptions},
};
use engine::engine::RememberedColumns;

/// Maximum number of columns that are listed. Exports have about a hundred.
const MAX_LISTED_COLUMNS: usize = 200;

/// Returns the form; `None` if the file's columns are unknown. The mapping in `options` names
/// columns by position.
pub fn column_form(
    run: &DryRun,
    options: &ReadOptions,
    remembered: Option<&RememberedColumns>,
) -> Option<ColumnForm> {
    if run.columns.is_empty() {
        return None;
    }
    let question = run.questions.iter().find_map(|question| match &question.subject {
        QuestionSubject::Columns { missing } => Some(missing),
        _ => None,
    });
    let candidates: Vec<_> =
        question.into_iter().flatten().flat_map(|field| &field.candidates).collect();
    let is_chosen = |column: &ColumnInfo| {
        let name = format!("#{}", column.position);
        options.map.0.iter().any(|(_, chosen)| *chosen == name)
    };
    let is_read = |column: &ColumnInfo| column.field.is_some_and(|field| field != Field::NotRead);
    let mut listed: Vec<_> = run.columns.iter().collect();
    // If there are too many, those that matter most are listed, in the order of the file.
    listed.sort_by_key(|column| {
        let position = format!("#{}", column.position);
        let rank = candidates.iter().position(|name| **name == column.name || **name == position);
        if is_read(column) || is_chosen(column) { 0 } else { rank.unwrap_or(usize::MAX - 1) + 1 }
    });
    listed.truncate(MAX_LISTED_COLUMNS);
    listed.sort_by_key(|column| column.position);
    let rows = listed.iter().map(|column| column_row(column, is_chosen(column)));
    let read = run.columns.iter().filter(|column| is_read(column)).count() as u64;
    let title = match (question, remembered) {
        (Some(missing), _) if run.sheets.len() > 1 => {
            format!("{} Or choose another sheet.", question_title(missing))
        }
        (Some(missing), _) => question_title(missing),
        (None, Some(remembered)) => format!(
            "Columns as chosen by {} on {}",
            remembered.chosen_by,
            labels::day(remembered.chosen_at)
        ),
        (None, None) => format!(
            "{} of {} {} read",
            labels::group_thousands(read),
            labels::count_noun(run.columns.len() as u64, "column"),
            if read == 1 { "is" } else { "are" },
        ),
    };
    Some(ColumnForm {
        is_question: question.is_some(),
        is_remembered: question.is_none() && remembered.is_some(),
        title,
        rows: rows.collect(),
        more: run.columns.len().saturating_sub(MAX_LISTED_COLUMNS) as u64,
    })
}

fn question_title(missing: &[MissingField]) -> String {
    let names: Vec<_> = missing.iter().map(|field| format!("the {}", field.field.name())).collect();
    let columns = if names.len() == 1 { "column has" } else { "columns have" };
    format!("Which {columns} {}?", labels::enumerate(&names))
}

fn column_row(column: &ColumnInfo, is_chosen: bool) -> ColumnRow {
    let field = column.field.unwrap_or(Field::NotRead);
    let name = match column.name.as_str() {
        "" => format!("Column {}", column.position),
        name => name.to_owned(),
    };
    let is_assignable = Field::ASSIGNABLE.contains(&field);
    ColumnRow {
        position: column.position,
        name,
        examples: column.examples.join(" · "),
        field: field.as_str().to_owned(),
        other_field: (!is_assignable).then(|| field.name().to_owned()),
        is_chosen,
    }
}
