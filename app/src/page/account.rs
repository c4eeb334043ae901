//! One's own account: theme, password, sessions.

#[cfg(feature = "ssr")]
pub mod settings;

use crate::{
    data::people::{AccountPage, ask_account},
    frame::{Frame, Notices, ProblemLine},
    load::Loaded,
    page::problem::failed,
    title::Title,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Account() -> impl IntoView {
    let page = Loaded::new(ask_account);
    let query = use_query_map();
    view! {
        <Title text="Account"/>
        {page.view("Reading …", move |page| content(page, saved(query)), failed)}
    }
    .into_any()
}

/// What the form before did.
fn saved(query: Memo<leptos_router::params::ParamsMap>) -> Option<&'static str> {
    match query.read_untracked().get("saved").as_deref() {
        Some("password") => Some("Password changed. Your other sessions are signed out."),
        Some("token") => Some("Token revoked."),
        Some("sessions") => Some("Signed out everywhere else."),
        _ => None,
    }
}

fn content(page: AccountPage, saved: Option<&'static str>) -> AnyView {
    view! {
        <Frame since=page.since>
            <h1>"Account"</h1>
            {saved.map(|words| view! { <p class="good" role="status">{words}</p> })}
            <ProblemLine/>
            {page.settings.show()}
            <Notices/>
        </Frame>
    }
    .into_any()
}
