//! Page of all accounts, for admins: invite, reset the password, change the role, disable.

#[cfg(feature = "ssr")]
pub mod accounts;

use crate::{
    page::{load_error::page_error, not_found::NotFound},
    page_data::people::{PeoplePage, people_query},
    resource::PageResource,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use leptos::prelude::*;

#[component]
pub fn People() -> impl IntoView {
    // This is not reloaded automatically: a new link is shown once, and has to stay until the
    // user leaves the page.
    let page = PageResource::new(people_query);
    view! {
        <Title text="People"/>
        {page.view("Loading …", |page| page.map_or_else(|| NotFound().into_any(), content), page_error)}
    }
    .into_any()
}

fn content(page: PeoplePage) -> AnyView {
    view! {
        <PageShell context=page.context>
            <h1>"People"</h1>
            <FlashAlert/>
            {page.accounts.view()}
        </PageShell>
    }
    .into_any()
}
