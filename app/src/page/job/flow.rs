//! Tab with the chain of a job as a graph.

mod graph;

use super::route_state::{JobRoute, JobTab};
use crate::{
    live::LiveState,
    page::load_error::section_error,
    resource::{ServerResource, resource_view},
};
use contract::{
    JobId,
    api::{self, Channel},
};
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowPage {
    job: JobId,
    flow: api::Flow,
    /// All channels, for their names.
    channels: Vec<Channel>,
}

/// Returns the chain of a job.
///
/// # Errors
/// Fails if nobody is signed in, with status 404 if the job does not exist or belongs to
/// someone else, or if the database fails.
#[server(input = Json)]
pub async fn load_flow(id: String) -> Result<FlowPage, ServerFnError> {
    use super::lookup::{job_read_error, parse_job_id};
    use crate::server::{RequestContext, request_context, server_error};
    let RequestContext { engine, identity } = request_context()?;
    let job = parse_job_id(&id)?;
    let flow = engine.store().jobs.job_flow(identity.user, job).await.map_err(job_read_error)?;
    let channels = engine.forecast().await.map_err(server_error)?.channels.clone();
    Ok(FlowPage { job, flow, channels })
}

/// Creates the resource of the flow. It is empty while another tab is shown, and loaded again
/// at most once a second while facts of the job arrive.
pub fn flow_resource(route: JobRoute) -> ServerResource<Option<FlowPage>> {
    let live = expect_context::<LiveState>();
    let is_shown = move || route.view.get() == JobTab::Flow;
    let version = RwSignal::new(0_u32);
    let (is_loading, is_outdated) = (StoredValue::new(false), StoredValue::new(false));
    let track_job = move || {
        if is_shown()
            && let Ok(job) = route.job.read().parse()
        {
            live.job_seq(job);
        }
    };
    let reload = move || {
        is_loading.set_value(true);
        is_outdated.set_value(false);
        version.update(|version| *version += 1);
    };
    // The answer that is under way is shown first: otherwise a server that takes longer than
    // facts take to arrive would never be listened to.
    let reload_after_answer = move || match is_loading.get_value() {
        true => is_outdated.set_value(true),
        false => reload(),
    };
    super::throttle_effect(track_job, reload_after_answer);
    let flow = Resource::new(
        move || is_shown().then(|| (route.job.get(), live.resync_count.get(), version.get())),
        async |shown| match shown {
            Some((job, ..)) => load_flow(job).await.map(Some),
            None => Ok(None),
        },
    );
    Effect::new(move |_| {
        flow.track();
        is_loading.set_value(false);
        if is_outdated.get_value() {
            reload();
        }
    });
    flow
}

#[component]
pub fn Flow(flow: ServerResource<Option<FlowPage>>) -> impl IntoView {
    let show = |flow: Option<FlowPage>| {
        flow.map_or_else(
            || ().into_any(),
            |page| graph::graph(page.job, &page.flow, &page.channels),
        )
    };
    resource_view(flow, "Loading …", show, section_error)
}
