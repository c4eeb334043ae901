//! Panel of one upstream.

use leptos::prelude::*;

/// An upstream in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamPanel {
    pub id: String,
    pub name: String,
    /// Value of `data-state`, which gives the colour.
    pub state: String,
    pub status: String,
    pub is_paused: bool,
    pub limits: Vec<LimitLine>,
    /// How much waits, of all users.
    pub queue_summary: String,
    pub queue: Vec<Line>,
    pub errors: Vec<Line>,
    /// What the last check said.
    pub last_check: Option<String>,
}

/// Limit of an upstream in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitLine {
    pub id: String,
    /// Name of the limit; empty if it is the only one.
    pub name: String,
    pub pace: String,
    /// Rate that is set, and the highest that may be.
    pub rate: String,
    pub max_rate: String,
    pub is_reduced: bool,
}

/// Line of a list, which may lead to the reader's own job or item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub detail: String,
    pub href: Option<String>,
}

pub fn panel(upstream: UpstreamPanel, is_admin: bool) -> AnyView {
    let actions = is_admin.then(|| actions(&upstream));
    let UpstreamPanel { id, name, state, status, limits, queue_summary, queue, errors, .. } =
        upstream;
    let heading = format!("channel-{id}");
    let labelled_by = heading.clone();
    let paces = limits
        .into_iter()
        .map(|limit| {
            view! {
                <p data-testid="pace">
                    {(!limit.name.is_empty()).then(|| format!("{}: ", limit.name))} {limit.pace}
                </p>
            }
        })
        .collect_view();
    let errors = (!errors.is_empty()).then(|| {
        view! {
            <h3>"Last errors"</h3>
            {lines(errors, "error")}
        }
    });
    view! {
        <section
            class="panel channel-panel"
            data-testid="upstream"
            data-upstream=id
            data-state=state
            aria-labelledby=labelled_by
        >
            <h2 id=heading>{name}</h2>
            <p class="channel-status">
                <span class="state" data-testid="status">
                    {status}
                </span>
            </p>
            {paces}
            <p class="meta" data-testid="queue-summary">
                {queue_summary}
            </p>
            {lines(queue, "queued-job")}
            {errors}
            {actions}
        </section>
    }
    .into_any()
}

fn lines(lines: Vec<Line>, test_id: &'static str) -> AnyView {
    let lines = lines
        .into_iter()
        .map(|Line { text, detail, href }| {
            let text = match href {
                Some(href) => view! { <a href=href>{text}</a> }.into_any(),
                None => view! { <span>{text}</span> }.into_any(),
            };
            view! { <li data-testid=test_id>{text} " " <small>{detail}</small></li> }
        })
        .collect_view();
    view! { <ul class="channel-lines">{lines}</ul> }.into_any()
}

/// Actions of an admin. Those that concern everybody have to be opened before they can be
/// confirmed, and can be taken back here.
fn actions(upstream: &UpstreamPanel) -> AnyView {
    let UpstreamPanel { id, name, is_paused, limits, last_check, .. } = upstream;
    let action = |what: &str| format!("/channels/{id}/{what}");
    let label = |what: &str| format!("{what}: {name}");
    let resume = is_paused.then(|| {
        view! {
            <form method="post" action=action("resume")>
                <button class="primary" aria-label=label("Resume")>
                    "Resume"
                </button>
            </form>
        }
    });
    let pause_name = if *is_paused { "Change the pause" } else { "Pause" };
    let paces = limits.iter().map(|limit| pace_form(action("pace"), limit)).collect_view();
    view! {
        <div class="channel-actions">
            <form method="post" action=action("check")>
                <button aria-label=label("Check")>"Check"</button>
            </form>
            {resume}
            <details name=format!("of-{id}")>
                <summary aria-label=label(pause_name)>{pause_name}</summary>
                <form method="post" action=action("pause")>
                    <p>
                        "Nothing more is sent for anybody. Calls in progress still finish, and what waits goes on by itself when the pause ends."
                    </p>
                    <label>
                        "For"
                        <select name="for">
                            <option value="15m">"15 minutes"</option>
                            <option value="1h">"1 hour"</option>
                            <option value="tomorrow">"until tomorrow, 08:00 UTC"</option>
                        </select>
                    </label>
                    <label>"or until (UTC)" <input type="datetime-local" name="until"/></label>
                    <label>
                        "Why"
                        <input type="text" name="note" maxlength="200" placeholder="Everybody sees it at their items"/>
                    </label>
                    <button>"Pause for everybody"</button>
                </form>
            </details>
            <details name=format!("of-{id}")>
                <summary aria-label=label("Change pace")>"Change pace"</summary>
                {paces}
            </details>
            {last_check.clone().map(|said| view! { <p class="meta" data-testid="last-check">{said}</p> })}
        </div>
    }
    .into_any()
}

fn pace_form(action: String, limit: &LimitLine) -> AnyView {
    let LimitLine { id, name, rate, max_rate, is_reduced, .. } = limit;
    let label = match name.is_empty() {
        true => format!("Requests per second, at most {max_rate}"),
        false => format!("{name}: requests per second, at most {max_rate}"),
    };
    let back = is_reduced.then(|| {
        view! {
            <button class="subtle" name="reset" value="true" formnovalidate>
                {format!("Back to {max_rate}")}
            </button>
        }
    });
    view! {
        <form method="post" action=action>
            <input type="hidden" name="limit" value=id.clone()/>
            <label>
                {label}
                <input type="text" name="rate" inputmode="decimal" required autocomplete="off" value=rate.clone()/>
            </label>
            <button>"Change for everybody"</button>
            {back}
        </form>
    }
    .into_any()
}
