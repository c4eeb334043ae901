//! Home page: upload products, start machines, see running jobs. It is also the response to a
//! form that launched nothing.

#[cfg(feature = "ssr")]
mod check_result;
mod file_check;
mod upload_form;

use crate::{
    live::LiveState,
    page::{
        jobs::RecentJobs,
        load_error::page_error,
        machines::{self, MachinesPanel},
    },
    page_data::launch::{LaunchPage, launch_query, recent_jobs_query},
    resource::PageResource,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use leptos::prelude::*;

/// All resources of the page are created here, so that server and browser number them
/// alike. The panel is loaded once: what was chosen in it stays when the lists are
/// loaded again.
#[component]
pub fn Launch() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let page = PageResource::new(launch_query);
    let machines = machines::machines_resource();
    let recent = PageResource::with_version(move || {
        (recent_jobs_query(), [live.resync_count.get().into(), 0, 0])
    });
    let show = move |page| {
        let machines = view! { <MachinesPanel page=machines/> }.into_any();
        let recent = view! { <RecentJobs recent=recent/> }.into_any();
        content(page, machines, recent)
    };
    view! {
        <Title text="Launch"/>
        {page.view("Loading …", show, page_error)}
    }
    .into_any()
}

fn content(page: LaunchPage, machines: AnyView, recent: AnyView) -> AnyView {
    let LaunchPage { context, panel } = page;
    view! {
        <PageShell context=context>
            <h1>"Launch"</h1>
            <FlashAlert/>
            <div class="launch">
                <upload_form::UploadForm panel=panel/>
                <section class="panel" aria-labelledby="machines">
                    <h2 id="machines">"Start machines"</h2>
                    {machines}
                </section>
            </div>
            {recent}
        </PageShell>
    }
    .into_any()
}
