//! Result of checking a file: what was understood, the questions, and what is not uploaded.
//!
//! When an answer changes, the result of the next check is shown in the same elements, so that
//! focus and scroll position stay. Each part therefore has a place of its own.

mod answers;
mod tables;

use super::file_report::FileReport;
use answers::{choice, column_form, select_field};
use leptos::prelude::*;

/// Returns the view of a report. `show_columns` opens the list of columns even if there is no
/// question about them.
pub fn check_result(report: FileReport, show_columns: bool) -> AnyView {
    let FileReport { file, summary, problem, sheet, map, counts, .. } = report;
    let shown_sheet = sheet.as_ref().and_then(|sheet| sheet.chosen.clone()).unwrap_or_default();
    view! {
        <div class="check-result" data-testid="check-result">
            <input type="hidden" name="checked" value="true"/>
            <input type="hidden" name="shown_map" value=map/>
            <input type="hidden" name="shown_sheet" value=shown_sheet/>
            <p>
                <strong>{file}</strong>
                " · "
                {summary}
            </p>
            {problem
                .map(|words| {
                    view! {
                        <p class="problem" role="alert" data-testid="answer-problem">
                            {words}
                        </p>
                    }
                })}
            <div aria-live="off">
                {report.encoding.map(select_field)}
                {sheet.map(select_field)}
                {report.columns.map(|form| column_form(form, show_columns))}
                {report.decimal.map(choice)}
                {report.zero_price.map(choice)}
                {report.price.map(choice)}
                {report.drafts.map(choice)}
            </div>
            {(counts.bad_rows > 0).then(|| tables::bad_rows(report.bad_rows))}
            <div aria-live="off">
                {(counts.left_out > 0).then(|| tables::left_out(report.left_out))}
                {(!report.notes.notes.is_empty()).then(|| tables::notes(report.notes))}
                {(!report.preview.is_empty())
                    .then(|| tables::preview(report.preview, counts.products))}
            </div>
        </div>
    }
    .into_any()
}
