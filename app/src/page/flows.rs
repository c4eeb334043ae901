//! Page of the flows: every command and fact, who causes whom, and what ran in the last hour. The
//! page of one event has its delivery, an example, and the last ones seen.

mod event;
mod graph;
mod message;

pub use event::content as event_content;

use crate::{
    labels,
    server::{RequestContext, server_error},
};
use contract::{
    api::Role,
    catalogue::{COMMANDS, Event, fact_event, signal_event},
    command::{Command, NoopRun},
    fact::FactKind,
    signal::SignalKind,
};
use engine::store::{FactCount, QueueReader};
use leptos::prelude::*;

/// Span of time that the numbers are about.
const RECENT_MS: i64 = 60 * 60 * 1_000;

/// Renders the flows. Admins see what everybody's jobs did, others only their own.
///
/// # Errors
/// Fails if the database does.
pub async fn content(request: &RequestContext) -> Result<AnyView, ServerFnError> {
    let RequestContext { engine, .. } = request;
    let reader = reader(request);
    let store = engine.store();
    let since = store.database.now_ms() - RECENT_MS;
    let counts = store.journal.recent_fact_counts(reader, since).await.map_err(server_error)?;
    let whose = if reader.sees_all { "everybody's jobs" } else { "your jobs" };
    let commands: Vec<_> = listed_commands(&counts).copied().collect();
    let facts: Vec<_> = FactKind::ALL.iter().map(|&kind| fact_event(kind)).collect();
    let signals: Vec<_> = SignalKind::ALL.iter().map(|&kind| signal_event(kind)).collect();
    let view = view! {
        <p class="flows-intro">
            "A launch writes its tasks and answers at once. Each task is a "<b>"command"</b>
            ", which a worker carries out; what happened is a "<b>"fact"</b>
            ", written in the same commit. Facts go to every tab of their user, and some commands \
            cause further ones."
        </p>
        {graph::graph(&commands, &counts)}
        {recent_table(&counts, whose)}
        {event_list("commands", "Commands", "Asks a worker to carry out one task.", &commands)}
        {event_list("facts", "Facts", "Says what happened; it is never taken back.", &facts)}
        {event_list("signals", "Signals", "What servers tell each other without keeping it.", &signals)}
        <p class="meta">
            "For programs: " <a href="/asyncapi.json" rel="external">"the same catalogue as AsyncAPI 3.0"</a> "."
        </p>
    };
    Ok(view.into_any())
}

fn reader(request: &RequestContext) -> QueueReader {
    let identity = &request.identity;
    QueueReader { user: identity.user, sees_all: identity.role == Role::Admin }
}

/// Returns the commands. The one that only measures is among them if it ran.
fn listed_commands(counts: &[FactCount]) -> impl Iterator<Item = &'static Event> {
    let ran = |kind: &str| counts.iter().any(|count| count.command.as_deref() == Some(kind));
    let measures = ran(NoopRun::KIND);
    COMMANDS.iter().filter(move |event| event.kind != NoopRun::KIND || measures)
}

/// Returns the URL of the page of an event.
fn event_url(kind: &str) -> String {
    format!("/flows/{kind}")
}

fn event_link(kind: &str) -> AnyView {
    view! { <a href=event_url(kind)><code>{kind.to_owned()}</code></a> }.into_any()
}

fn event_list(
    id: &'static str,
    title: &'static str,
    about: &'static str,
    events: &[Event],
) -> AnyView {
    let lines = events
        .iter()
        .map(|event| {
            view! {
                <tr data-testid="event">
                    <th scope="row">{event_link(event.kind)}</th>
                    <td>{message::plain(event.description)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section aria-labelledby=id>
            <h2 id=id>{title}</h2>
            <p class="meta">{about}</p>
            <div class="table-region flows-region">
                <table class="data-table" aria-labelledby=id>
                    <tbody>{lines}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// The numbers of the graph as a table: a row for each command, or for the facts about jobs.
fn recent_table(counts: &[FactCount], whose: &str) -> AnyView {
    let title = format!("What {whose} did in the last hour");
    if counts.is_empty() {
        return view! {
            <section aria-labelledby="recent">
                <h2 id="recent">{title}</h2>
                <p class="empty">
                    "Nothing yet. " <a href="/">"Launch something"</a> ", and its events are counted here."
                </p>
            </section>
        }
        .into_any();
    }
    let rows = counts
        .iter()
        .map(|FactCount { fact, command, cause, count }| {
            let command = match command {
                Some(command) => event_link(command),
                None => view! { <span class="muted">"the whole job"</span> }.into_any(),
            };
            let cause = cause.as_deref().map(|cause| {
                view! { <small>" caused by " <code>{cause.to_owned()}</code></small> }
            });
            view! {
                <tr data-testid="recent-flow">
                    <td>{command} {cause}</td>
                    <td>{event_link(fact.as_str())}</td>
                    <td class="number">{labels::group_thousands((*count).into())}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section aria-labelledby="recent">
            <h2 id="recent">{title}</h2>
            <div class="table-region flows-region" tabindex="0" role="region" aria-labelledby="recent">
                <table class="data-table">
                    <thead>
                        <tr>
                            <th scope="col">"About"</th>
                            <th scope="col">"Fact"</th>
                            <th scope="col" class="number">
                                "How often"
                            </th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
