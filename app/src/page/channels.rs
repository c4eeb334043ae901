//! Page of the sales channels and the other upstreams: their state, pace, queue and last errors,
//! and what admins set for everybody.

mod describe;
mod panel;
mod refused_form;

pub use refused_form::RefusedForm;

use crate::{
    page::audit,
    server::{RequestContext, server_error},
};
use contract::api::Role;
use engine::store::{AuditScope, QueueReader};
use leptos::prelude::*;

/// Number of entries of the audit log on the page.
const CHANGES_LIMIT: u32 = 10;

/// Renders the upstreams. Admins see everybody's jobs and errors, others only their own.
/// `argument` is the form that an admin has just sent in vain, see [`RefusedForm`].
///
/// # Errors
/// Fails if the database does.
pub async fn content(
    request: &RequestContext,
    argument: Option<&str>,
) -> Result<AnyView, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let is_admin = identity.role == Role::Admin;
    let reader = QueueReader { user: identity.user, sees_all: is_admin };
    let statuses = engine.upstream_statuses(reader).await.map_err(server_error)?;
    let store = engine.store();
    let now = store.database.now_ms();
    let changes = match is_admin {
        true => {
            let page = store.audit.entries(AuditScope::Upstreams, None, CHANGES_LIMIT).await;
            let page = page.map_err(server_error)?;
            let lines = page.items.iter().map(|entry| audit::sentence(entry, &statuses, now));
            (!page.items.is_empty()).then(|| change_list(lines.collect()))
        }
        false => None,
    };
    let refused = argument.and_then(RefusedForm::parse);
    let panels = statuses
        .iter()
        .map(|status| {
            let refused = refused.as_ref().filter(|form| form.upstream == status.id);
            panel::panel(describe::panel(status, now), is_admin, refused)
        })
        .collect_view();
    let is_sandbox = engine.channels().iter().any(|channel| channel.is_sandbox);
    let comparison = is_sandbox.then(|| {
        view! {
            <p>
                <a href="/compare">"Three ways to run a batch"</a>
                ": what a simpler design loses, measured on these channels."
            </p>
        }
    });
    let view = view! {
        {comparison}
        <div class="channel-panels">{panels}</div>
        {changes}
    };
    Ok(view.into_any())
}

/// The last changes by admins, newest first.
fn change_list(changes: Vec<String>) -> AnyView {
    let lines = changes.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
    view! {
        <section class="channel-changes" aria-labelledby="changes" data-testid="changes">
            <h2 id="changes">"Changes by admins"</h2>
            <ul>{lines}</ul>
        </section>
    }
    .into_any()
}
