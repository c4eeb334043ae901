//! Accounts, for admins: invite, reset, change the role, disable.

#[cfg(feature = "ssr")]
pub mod accounts;

use crate::{
    data::people::{PeoplePage, ask_people},
    frame::{Frame, ProblemLine},
    load::Loaded,
    page::{missing::Missing, problem::failed},
    title::Title,
};
use leptos::prelude::*;

#[component]
pub fn People() -> impl IntoView {
    // Not read again by itself: a link is shown once, and stays until one leaves.
    let page = Loaded::new(ask_people);
    view! {
        <Title text="People"/>
        {page.view("Reading …", |page| page.map_or_else(|| Missing().into_any(), content), failed)}
    }
    .into_any()
}

fn content(page: PeoplePage) -> AnyView {
    view! {
        <Frame since=page.since>
            <h1>"People"</h1>
            <ProblemLine/>
            {page.accounts.show()}
        </Frame>
    }
    .into_any()
}
