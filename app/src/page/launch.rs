//! Home page: upload products, start machines, see running jobs. It is also the response to a
//! form that launched nothing.

mod check_result;
mod file_check;
mod file_report;
mod focus;
mod launch_button;
mod upload_form;
mod upload_panel;

pub use file_check::FileCheckResult;
#[cfg(feature = "ssr")]
pub use file_report::ReadFile;
#[cfg(feature = "ssr")]
pub use upload_panel::SubmittedForm;
pub use upload_panel::{CheckedFile, SAMPLE_PRODUCTS};

use super::{
    jobs::{RecentJobs, recent_jobs_resource},
    load_error::page_error,
    machines::{MachinesPanel, machines_resource},
};
use crate::{
    page_context::PageContext,
    resource::resource_view,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};
use upload_form::UploadForm;
use upload_panel::UploadPanel;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchPage {
    context: PageContext,
    panel: UploadPanel,
}

/// Returns the data of the upload panel.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_launch_page() -> Result<LaunchPage, ServerFnError> {
    use crate::server::{request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let panel =
        UploadPanel::load(&request.engine, request.identity.user).await.map_err(server_error)?;
    Ok(LaunchPage { context, panel })
}

/// All resources of the page are created here, so that server and browser number them
/// alike. The panel is loaded once: what was chosen in it stays when the lists are
/// loaded again.
#[component]
pub fn Launch() -> impl IntoView {
    let page = Resource::new(|| (), |()| load_launch_page());
    let machines = machines_resource();
    let recent = recent_jobs_resource();
    let show = move |page| {
        let machines = view! { <MachinesPanel page=machines/> }.into_any();
        let recent = view! { <RecentJobs recent=recent/> }.into_any();
        content(page, machines, recent)
    };
    view! {
        <Title text="Launch"/>
        {resource_view(page, "Loading …", show, page_error)}
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
                <UploadForm panel=panel/>
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
