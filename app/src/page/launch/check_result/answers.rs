//! Fields by which a person answers questions about a file. Their names are those of the API's
//! parameters.

use crate::{
    labels,
    page::launch::{
        file_check::FORGET_COLUMNS,
        file_report::{Choice, ColumnForm, ColumnRow},
    },
};
use contract::feed::Field;
use leptos::prelude::*;

/// Select of a choice whose values need no explanation.
pub fn select_field(choice: Choice) -> AnyView {
    let Choice { parameter, title, options, chosen, .. } = choice;
    let options = options
        .into_iter()
        .map(|option| {
            let is_chosen = chosen.as_ref() == Some(&option.value);
            view! {
                <option value=option.value selected=is_chosen>
                    {option.label}
                </option>
            }
        })
        .collect_view();
    view! {
        <label class="select-field">
            {title}
            <select name=parameter.clone() id=parameter>
                {options}
            </select>
        </label>
    }
    .into_any()
}

/// List of the columns, each with a select of the field that it has.
pub fn column_form(form: ColumnForm, is_open: bool) -> AnyView {
    let ColumnForm { is_question, is_remembered, title, rows, more } = form;
    let rows = rows.into_iter().map(column_row).collect_view();
    view! {
        <details
            class="column-form"
            class:open-question=is_question
            open=is_question || is_open
            data-testid="columns"
        >
            <summary id="columns">
                {title}
                {(!is_question).then(|| view! { <span class="summary-action">"Change"</span> })}
            </summary>
            <ul class="column-list" aria-labelledby="columns">{rows}</ul>
            {(more > 0)
                .then(|| {
                    view! {
                        <p class="more-hint">
                            {format!("{} more are not read.", labels::count_noun(more, "column"))}
                        </p>
                    }
                })}
            {is_remembered.then(forget_columns_button)}
        </details>
    }
    .into_any()
}

/// Button by which the columns that were chosen for an earlier file are forgotten. Scripts send
/// the form themselves.
fn forget_columns_button() -> AnyView {
    view! {
        <p class="buttons">
            <button name=FORGET_COLUMNS value="true" formaction="/launch/check" formnovalidate>
                "Forget this choice"
            </button>
            <small>"Files with these columns are then read by their names, for the whole team."</small>
        </p>
    }
    .into_any()
}

fn column_row(row: ColumnRow) -> AnyView {
    let id = format!("map-{}", row.position);
    let mut options = vec![field_option(&row, Field::NotRead.as_str(), Field::NotRead.name())];
    if let Some(name) = &row.other_field {
        options.push(field_option(&row, &row.field, name));
    }
    let assignable = Field::ASSIGNABLE.into_iter().filter(|field| *field != Field::NotRead);
    options.extend(assignable.map(|field| field_option(&row, field.as_str(), field.name())));
    view! {
        <li>
            <label for=id.clone()>
                <span>{row.name}</span>
                <small>{row.examples}</small>
            </label>
            <select name="map" id=id>
                {options}
            </select>
        </li>
    }
    .into_any()
}

fn field_option(row: &ColumnRow, field: &str, name: &str) -> AnyView {
    view! {
        <option value=row.map_value(field) selected=row.field == field>
            {labels::sentence_case(name)}
        </option>
    }
    .into_any()
}

/// Radio buttons of a choice.
pub fn choice(choice: Choice) -> AnyView {
    let Choice { is_question, parameter, title, detail, options, chosen } = choice;
    let test_id = format!("choice-{parameter}");
    let options = options
        .into_iter()
        .map(|option| {
            let is_chosen = chosen.as_ref() == Some(&option.value);
            view! {
                <label class="checkbox-label">
                    <input
                        type="radio"
                        id=format!("{parameter}-{}", option.value)
                        name=parameter.clone()
                        value=option.value
                        checked=is_chosen
                    />
                    <span>{option.label}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="file-choice" class:open-question=is_question data-testid=test_id>
            <legend>{title}</legend>
            {detail.map(|detail| view! { <p class="meta">{detail}</p> })}
            {options}
        </fieldset>
    }
    .into_any()
}
