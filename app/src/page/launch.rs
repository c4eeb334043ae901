//! Home: upload products, start machines, see what runs. The answer to a form
//! that launched nothing is this page too.

mod check;
#[cfg(feature = "ssr")]
mod understood;
mod upload;

use crate::{
    data::launch::{LaunchPage, ask_launch, ask_recent},
    frame::{Frame, ProblemLine},
    live::Live,
    load::Loaded,
    page::{
        jobs::RecentJobs,
        machines::{self, Panel},
        problem::failed,
    },
    title::Title,
};
use leptos::prelude::*;

/// All that the page reads is asked for here, so that server and browser
/// number it alike. The panel is read once: what was chosen in it stays when
/// the lists are read anew.
#[component]
pub fn Launch() -> impl IntoView {
    let live = expect_context::<Live>();
    let page = Loaded::new(ask_launch);
    let machines = machines::read();
    let recent = Loaded::versioned(move || (ask_recent(), [live.resync.get().into(), 0, 0]));
    let show = move |page| {
        let machines = view! { <Panel page=machines/> }.into_any();
        let recent = view! { <RecentJobs recent=recent/> }.into_any();
        content(page, machines, recent)
    };
    view! {
        <Title text="Launch"/>
        {page.view("Reading …", show, failed)}
    }
    .into_any()
}

fn content(page: LaunchPage, machines: AnyView, recent: AnyView) -> AnyView {
    let LaunchPage { since, panel } = page;
    view! {
        <Frame since=since>
            <h1>"Launch"</h1>
            <ProblemLine/>
            <div class="launch">
                <upload::Upload panel=panel/>
                <section class="panel" aria-labelledby="machines">
                    <h2 id="machines">"Start machines"</h2>
                    {machines}
                </section>
            </div>
            {recent}
        </Frame>
    }
    .into_any()
}
