//! Page of the sales channels and the other upstreams: their state, pace, queue and last errors,
//! and what admins set for everybody. The server sends ready words, which keeps the bundle small.

#[cfg(feature = "ssr")]
mod describe;
mod panel;

use crate::{
    page::load_error::page_error,
    page_context::PageContext,
    resource::resource_view,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use leptos::{prelude::*, server_fn::codec::Json, task::spawn_local};
use panel::UpstreamPanel;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Interval at which the page is brought up to date while it is visible.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3);
/// Number of entries of the audit log on the page.
#[cfg(feature = "ssr")]
const CHANGES_LIMIT: u32 = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelsPage {
    context: PageContext,
    upstreams: Vec<UpstreamPanel>,
    /// The last changes by admins, newest first; empty for others.
    changes: Vec<String>,
}

/// Returns the upstreams. Admins see everybody's jobs and errors, others only their own.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_channels() -> Result<ChannelsPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    use engine::store::QueueReader;
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let sees_all = context.is_admin;
    let reader = QueueReader { user: identity.user, sees_all };
    let statuses = engine.upstream_statuses(reader).await.map_err(server_error)?;
    let store = engine.store();
    let now = store.database.now_ms();
    let entries = match sees_all {
        true => store.audit.entries(None, CHANGES_LIMIT).await.map_err(server_error)?.items,
        false => Vec::new(),
    };
    let changes = entries.iter().map(|entry| describe::change(entry, &statuses, now)).collect();
    let upstreams = statuses.iter().map(|status| describe::panel(status, now)).collect();
    Ok(ChannelsPage { context, upstreams, changes })
}

#[component]
pub fn Channels() -> impl IntoView {
    let page = Resource::new(|| (), |()| load_channels());
    Effect::new(move |_| {
        let refresh = move || {
            if document().hidden() {
                return;
            }
            spawn_local(async move {
                // Without an answer, what is shown stays; the top bar says that it may be old.
                if let Ok(newer) = load_channels().await {
                    let _ = page.try_set(Some(Ok(newer)));
                }
            });
        };
        let timer = set_interval_with_handle(refresh, REFRESH_INTERVAL);
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
    view! {
        <Title text="Channels"/>
        {resource_view(page, "Loading …", content, page_error)}
    }
    .into_any()
}

fn content(page: ChannelsPage) -> AnyView {
    let ChannelsPage { context, upstreams, changes } = page;
    let is_admin = context.is_admin;
    let panels =
        upstreams.into_iter().map(|upstream| panel::panel(upstream, is_admin)).collect_view();
    let changes = is_admin.then(|| {
        let lines = changes.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
        view! {
            <section class="channel-changes" aria-labelledby="changes" data-testid="changes">
                <h2 id="changes">"Changes by admins"</h2>
                <ul>{lines}</ul>
            </section>
        }
    });
    view! {
        <PageShell context=context>
            <h1>"Channels"</h1>
            <FlashAlert/>
            <div class="channel-panels">{panels}</div>
            {changes}
        </PageShell>
    }
    .into_any()
}
