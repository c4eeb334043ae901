//! Page of one event: what it is, how it is delivered, what it may cause, an example, and the
//! last ones seen.

use super::{event_link, message, reader};
use crate::{
    labels,
    server::{RequestContext, server_error},
};
use contract::{
    catalogue::{COMMANDS, Event, fact_event, signal_event},
    fact::FactKind,
    signal::SignalKind,
};
use engine::store::SeenFact;
use leptos::prelude::*;

/// Number of facts in the list of the last ones.
const SEEN_LIMIT: u32 = 20;

/// Renders the event named `kind`; `None` if there is no such event.
///
/// # Errors
/// Fails if the database does.
pub async fn content(
    request: &RequestContext,
    kind: &str,
) -> Result<Option<AnyView>, ServerFnError> {
    let Some((event, is_signal)) = find_event(kind) else { return Ok(None) };
    let store = request.engine.store();
    let reader = reader(request);
    let seen = store.journal.last_facts(reader, kind, SEEN_LIMIT).await.map_err(server_error)?;
    let now = store.database.now_ms();
    let seen = (!is_signal).then(|| last_seen(&seen, request, now));
    let example = message::example(event.kind, event.version).map(|example| {
        view! {
            <h2 id="example">"A message"</h2>
            <pre class="event-example" tabindex="0" aria-labelledby="example">{example}</pre>
        }
    });
    let view = view! {
        <p>
            <a href="/flows">"All flows"</a>
        </p>
        <h2 data-testid="event-kind"><code>{event.kind}</code></h2>
        <p>{message::plain(event.description)}</p>
        {delivery(&event)}
        {seen}
        {example}
    };
    Ok(Some(view.into_any()))
}

/// Returns the catalogue entry of an event, and whether it is a signal, which nothing keeps.
fn find_event(kind: &str) -> Option<(Event, bool)> {
    let commands = COMMANDS.iter().copied().map(|event| (event, false));
    let facts = FactKind::ALL.iter().map(|&kind| (fact_event(kind), false));
    let signals = SignalKind::ALL.iter().map(|&kind| (signal_event(kind), true));
    commands.chain(facts).chain(signals).find(|(event, _)| event.kind == kind)
}

fn delivery(event: &Event) -> AnyView {
    let links = event.may_cause.iter().map(|kind| view! { <li>{event_link(kind)}</li> });
    let causes = match event.may_cause {
        [] => view! { <dd>"nothing"</dd> }.into_any(),
        _ => view! { <dd><ul class="event-causes">{links.collect_view()}</ul></dd> }.into_any(),
    };
    let line = |name: &'static str, text: Option<&str>| {
        let text = text.filter(|text| !text.is_empty()).map(message::plain)?;
        Some(view! { <dt>{name}</dt> <dd>{text}</dd> })
    };
    view! {
        <dl class="event-facts">
            {line("Version", Some(&event.version.to_string()))}
            {line("Produced by", Some(event.producer))}
            {line("Consumed by", Some(event.consumers))}
            {line("Sent to", message::address(event.kind))}
            {line("Delivery", Some(event.retry))}
            {line("Limited by", Some(event.limiter))}
            <dt>"May cause"</dt>
            {causes}
        </dl>
    }
    .into_any()
}

fn last_seen(seen: &[SeenFact], request: &RequestContext, now: i64) -> AnyView {
    if seen.is_empty() {
        return view! {
            <h2 id="seen">"Last seen"</h2>
            <p class="empty">"None among the newest facts of your jobs."</p>
        }
        .into_any();
    }
    let lines = seen
        .iter()
        .map(|SeenFact { fact, at, job, task, owner }| {
            // Nobody can open the job of somebody else.
            let is_own = *owner == request.identity.user;
            let href = job.as_ref().filter(|_| is_own).map(|(job, _)| match task {
                Some((task, ..)) => format!("/jobs/{job}?task={task}"),
                None => format!("/jobs/{job}"),
            });
            let title = job.as_ref().map(|(_, title)| title.clone()).unwrap_or_default();
            let what = match task {
                Some((_, _, subject)) => format!("{subject} · {title}"),
                None => title,
            };
            let what = match href {
                Some(href) => view! { <a href=href>{what}</a> }.into_any(),
                None => what.into_any(),
            };
            view! {
                <tr data-testid="seen-fact">
                    <td>{labels::time_ago(*at, now)}</td>
                    <td>{event_link(fact.as_str())}</td>
                    <td>{what}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <h2 id="seen">"Last seen"</h2>
        <div class="table-region" tabindex="0" role="region" aria-labelledby="seen">
            <table class="data-table">
                <thead>
                    <tr>
                        <th scope="col">"When"</th>
                        <th scope="col">"Fact"</th>
                        <th scope="col">"About"</th>
                    </tr>
                </thead>
                <tbody>{lines}</tbody>
            </table>
        </div>
    }
    .into_any()
}
