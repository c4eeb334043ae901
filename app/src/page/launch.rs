//! Home: upload products, start machines, see what runs. The answer to a form
//! that launched nothing is this page too.

mod check;
mod understood;
mod upload;

use crate::{
    data::launch::{LaunchPage, read_launch, read_machines, read_recent},
    frame::{Frame, ProblemLine},
    live::Live,
    page::{jobs::RecentJobs, machines::Panel},
};
use leptos::prelude::*;
use leptos_meta::Title;

/// All that the page reads is asked for here, so that server and browser
/// number it alike. The panel is read once: what was chosen in it stays when
/// the lists are read anew.
#[component]
pub fn Launch() -> impl IntoView {
    let live = expect_context::<Live>();
    let page = Resource::new(|| (), |()| read_launch());
    let machines = Resource::new(|| (), |()| read_machines());
    let recent = Resource::new(move || live.resync.get(), |_| read_recent());
    view! {
        <Title text="Launch"/>
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => {
                        let machines = view! { <Panel page=machines/> }.into_any();
                        let recent = view! { <RecentJobs recent=recent/> }.into_any();
                        content(page, machines, recent)
                    }
                    Err(error) => super::job::failed(&error).into_any(),
                }
            })}
        </Transition>
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
