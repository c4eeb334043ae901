//! Links around the list of machines, as HTML.

use crate::{labels, page::machines::MachineListFilter};
use leptos::prelude::*;

/// Path of the page.
const PATH: &str = "/machines";

/// Renders a link for each state and its label; the empty state stands for all.
pub fn states(states: &[(String, String)], filter: &MachineListFilter) -> String {
    let link = |(state, label): &(String, String)| {
        let state = Some(state.clone()).filter(|state| !state.is_empty());
        let here = state == filter.state;
        let href = MachineListFilter { state, ..filter.only_filter() }.url(PATH);
        view! { <a href=href aria-current=here.then_some("true")>{label.clone()}</a> }
    };
    states.iter().map(link).collect_view().to_html()
}

/// Says how many machines match, what can be done with them, and when EC2 said so, with the link
/// that selects all of them, or none.
pub fn select_all(
    summary: &str,
    possible: &str,
    listed_at: i64,
    matching: usize,
    filter: &MachineListFilter,
) -> String {
    let select = (!filter.selects_all()).then(|| "all".to_owned());
    let href = MachineListFilter { select: select.clone(), ..filter.clone() }.url(PATH);
    let all = labels::count_noun(matching as u64, "machine");
    let (words, link) = match select {
        Some(_) if matching == 1 => (summary.to_owned(), "Select it".to_owned()),
        Some(_) => (summary.to_owned(), format!("Select all {all}")),
        None => (format!("{summary} selected"), "Clear the selection".to_owned()),
    };
    let listed = format!(". Listed at {}. ", labels::time_of_day(listed_at));
    view! {
        <p class="machine-summary" data-testid="machine-summary">
            <strong>{words}</strong> ": " {possible.to_owned()} {listed} <a href=href>{link}</a>
        </p>
    }
    .to_html()
}

/// Renders which part of the machines page number `page` has, and links to the pages beside it.
pub fn pages(part: String, page: usize, last_page: usize, filter: &MachineListFilter) -> String {
    let link = |page: usize, name: &'static str| {
        let page = Some(page.to_string());
        let href = MachineListFilter { page, ..filter.clone() }.url(PATH);
        view! { <a href=href>{name}</a> }
    };
    let previous = (page > 1).then(|| link(page - 1, "Previous machines"));
    let next = (page < last_page).then(|| link(page + 1, "Next machines"));
    view! {
        <nav class="pages" aria-label="Pages of machines">
            <span class="muted">{part}</span>
            {previous}
            {next}
        </nav>
    }
    .to_html()
}
