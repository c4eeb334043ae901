//! Which jobs the list shows: links and a form, so that the address says it
//! and it needs no script.

use crate::words;
use contract::{
    api::Job,
    state::{JobKind, JobState},
};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

/// What the address asks for, as it stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub before: Option<String>,
    pub state: Option<String>,
    pub kind: Option<String>,
    pub q: Option<String>,
}

impl Asked {
    pub fn of(query: &ParamsMap) -> Self {
        let get = |name| query.get(name).filter(|value| !value.is_empty());
        Self { before: get("before"), state: get("state"), kind: get("kind"), q: get("q") }
    }

    /// The address that asks for this.
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

    /// Whether nothing narrows the list.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `job` belongs in the list, also when it has changed since.
    pub fn takes(&self, job: &Job) -> bool {
        let state = self.state.as_ref().and_then(|word| word.parse::<JobState>().ok());
        let kind = self.kind.as_ref().and_then(|word| word.parse::<JobKind>().ok());
        let q = self.q.as_ref().map(|words| words.to_lowercase());
        state.is_none_or(|state| state == job.state)
            && kind.is_none_or(|kind| kind == job.kind)
            && q.is_none_or(|q| job.title.to_lowercase().contains(&q))
    }
}

/// A way to another list of jobs.
fn choice(name: &'static str, to: &Asked, asked: &Asked) -> impl IntoView + use<> {
    let here = to.state == asked.state && to.kind == asked.kind;
    let href = Asked { before: None, ..to.clone() }.href();
    view! {
        <a href=href aria-current=here.then_some("true")>
            {name}
        </a>
    }
}

#[component]
pub fn Choices(asked: Asked) -> impl IntoView {
    let states = std::iter::once((None, "All states"))
        .chain(
            JobState::ALL.iter().map(|state| (Some(state.to_string()), words::job_state(*state))),
        )
        .map(|(state, name)| choice(name, &Asked { state, ..asked.clone() }, &asked))
        .collect_view();
    let kinds = std::iter::once((None, "All kinds"))
        .chain(
            [JobKind::ProductUploads, JobKind::Ec2Starts]
                .map(|kind| (Some(kind.to_string()), words::job_kind(kind))),
        )
        .map(|(kind, name)| choice(name, &Asked { kind, ..asked.clone() }, &asked))
        .collect_view();
    let hidden = |name: &'static str, value: Option<String>| {
        value.map(|value| view! { <input type="hidden" name=name value=value/> })
    };
    view! {
        <div class="choices">
            <nav aria-label="By state">{states}</nav>
            <nav aria-label="By kind">{kinds}</nav>
            <form method="get" action="/jobs" role="search">
                {hidden("state", asked.state.clone())}
                {hidden("kind", asked.kind.clone())}
                <input
                    type="search"
                    name="q"
                    aria-label="Search by title"
                    placeholder="Search by title"
                    value=asked.q.clone().unwrap_or_default()
                />
                <button>"Search"</button>
            </form>
        </div>
    }
    .into_any()
}
