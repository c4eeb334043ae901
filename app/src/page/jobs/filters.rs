//! Filters of the list of jobs. They are links and a form, so that the URL holds their state
//! and they work without scripts.

use crate::labels;
use contract::{
    api::Job,
    state::{JobKind, JobState},
};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

/// Filter as in the URL, unparsed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobListFilter {
    pub before: Option<String>,
    pub state: Option<String>,
    pub kind: Option<String>,
    pub q: Option<String>,
}

impl JobListFilter {
    pub fn from_query(query: &ParamsMap) -> Self {
        let get = |name| query.get(name).filter(|value| !value.is_empty());
        Self { before: get("before"), state: get("state"), kind: get("kind"), q: get("q") }
    }

    /// Returns the URL of this filter.
    pub fn href(&self) -> String {
        let parts = [
            ("before", &self.before),
            ("state", &self.state),
            ("kind", &self.kind),
            ("q", &self.q),
        ];
        let mut query = ParamsMap::new();
        for (name, value) in parts {
            if let Some(value) = value {
                query.insert(name, value.clone());
            }
        }
        format!("/jobs{}", query.to_query_string())
    }

    /// Whether the list is unfiltered.
    pub fn is_unfiltered(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `job`, in its current state, belongs in the list.
    pub fn matches(&self, job: &Job) -> bool {
        let state = self.state.as_ref().and_then(|word| word.parse::<JobState>().ok());
        let kind = self.kind.as_ref().and_then(|word| word.parse::<JobKind>().ok());
        let q = self.q.as_ref().map(|words| words.to_lowercase());
        state.is_none_or(|state| state == job.state)
            && kind.is_none_or(|kind| kind == job.kind)
            && q.is_none_or(|q| job.title.to_lowercase().contains(&q))
    }
}

/// Link to the list with another filter.
fn filter_link(
    name: &'static str,
    to: &JobListFilter,
    filter: &JobListFilter,
) -> impl IntoView + use<> {
    let here = to.state == filter.state && to.kind == filter.kind;
    let href = JobListFilter { before: None, ..to.clone() }.href();
    view! {
        <a href=href aria-current=here.then_some("true")>
            {name}
        </a>
    }
}

#[component]
pub fn JobFilters(filter: JobListFilter) -> impl IntoView {
    let states = std::iter::once((None, "All states"))
        .chain(
            JobState::ALL
                .iter()
                .map(|state| (Some(state.to_string()), labels::job_state_name(*state))),
        )
        .map(|(state, name)| filter_link(name, &JobListFilter { state, ..filter.clone() }, &filter))
        .collect_view();
    let kinds = std::iter::once((None, "All kinds"))
        .chain(
            [JobKind::ProductUploads, JobKind::Ec2Starts, JobKind::Ec2Stops, JobKind::Ec2Launches]
                .map(|kind| (Some(kind.to_string()), labels::job_kind_name(kind))),
        )
        .map(|(kind, name)| filter_link(name, &JobListFilter { kind, ..filter.clone() }, &filter))
        .collect_view();
    let hidden = |name: &'static str, value: Option<String>| {
        value.map(|value| view! { <input type="hidden" name=name value=value/> })
    };
    view! {
        <div class="list-filters">
            <nav aria-label="By state">{states}</nav>
            <nav aria-label="By kind">{kinds}</nav>
            <form method="get" action="/jobs" role="search">
                {hidden("state", filter.state.clone())}
                {hidden("kind", filter.kind.clone())}
                <input
                    type="search"
                    name="q"
                    aria-label="Search by title"
                    placeholder="Search by title"
                    value=filter.q.clone().unwrap_or_default()
                />
                <button>"Search"</button>
            </form>
        </div>
    }
    .into_any()
}
