//! The newest entries of the audit log, with its download.

use crate::page::audit;
use contract::api::{AuditEntry, UpstreamStatus};
use leptos::prelude::*;

pub fn log(entries: &[AuditEntry], upstreams: &[UpstreamStatus], now: i64) -> AnyView {
    let lines = entries
        .iter()
        .map(|entry| view! { <li>{audit::sentence(entry, upstreams, now)}</li> })
        .collect_view();
    view! {
        <section aria-labelledby="audit" data-testid="audit">
            <h2 id="audit">"Who did what"</h2>
            <ul class="audit-lines">{lines}</ul>
            <p class="meta">
                "The newest entries. "
                <a href="/operations/audit.csv" rel="external" download="audit.csv">"Download all of them"</a>
            </p>
        </section>
    }
    .into_any()
}
