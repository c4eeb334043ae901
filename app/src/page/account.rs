//! Page of the user's own account: theme, password, sessions, API tokens.

#[cfg(feature = "ssr")]
pub mod settings;

use crate::{
    page::load_error::page_error,
    page_data::people::{AccountPage, account_query},
    resource::PageResource,
    shell::{FlashAlert, NotificationSettings, PageShell},
    title::Title,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Account() -> impl IntoView {
    let page = PageResource::new(account_query);
    let query = use_query_map();
    view! {
        <Title text="Account"/>
        {page.view("Loading …", move |page| content(page, saved_message(query)), page_error)}
    }
    .into_any()
}

/// Returns the message about the form that was just submitted.
fn saved_message(query: Memo<leptos_router::params::ParamsMap>) -> Option<&'static str> {
    match query.read_untracked().get("saved").as_deref() {
        Some("password") => Some("Password changed. Your other sessions are signed out."),
        Some("token") => Some("Token revoked."),
        Some("sessions") => Some("Signed out everywhere else."),
        _ => None,
    }
}

fn content(page: AccountPage, saved: Option<&'static str>) -> AnyView {
    view! {
        <PageShell context=page.context>
            <h1>"Account"</h1>
            {saved.map(|words| view! { <p class="success" role="status">{words}</p> })}
            <FlashAlert/>
            {page.settings.view()}
            <NotificationSettings/>
        </PageShell>
    }
    .into_any()
}
