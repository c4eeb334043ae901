//! Panel of one upstream.

use super::refused_form::RefusedForm;
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

/// Renders the panel. `refused` is the form of it that an admin has just sent in vain.
pub fn panel(upstream: UpstreamPanel, is_admin: bool, refused: Option<&RefusedForm>) -> AnyView {
    let actions = is_admin.then(|| actions(&upstream, refused));
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
/// confirmed, and can be taken back here. Forms have ids, by which a refresh recognises them.
fn actions(upstream: &UpstreamPanel, refused: Option<&RefusedForm>) -> AnyView {
    let UpstreamPanel { id, name, is_paused, last_check, .. } = upstream;
    let action = |what: &str| format!("/channels/{id}/{what}");
    let label = |what: &str| format!("{what}: {name}");
    let resume = is_paused.then(|| {
        view! {
            <form method="post" action=action("resume") id=element_id(id, "resume")>
                <button class="primary" aria-label=label("Resume")>
                    "Resume"
                </button>
            </form>
        }
    });
    let last_check = last_check.clone();
    view! {
        <div class="channel-actions">
            {refused.filter(|form| !form.has_fields()).map(|form| problem(name, form))}
            <form method="post" action=action("check") id=element_id(id, "check")>
                <button aria-label=label("Check")>"Check"</button>
            </form>
            {resume}
            {pause_details(upstream, refused.filter(|form| form.action == "pause"))}
            {pace_details(upstream, refused.filter(|form| form.action == "pace"))}
            {last_check.map(|said| view! { <p class="meta" data-testid="last-check">{said}</p> })}
        </div>
    }
    .into_any()
}

/// Returns the id of an action's form or `<details>`, which a redirect leads to.
pub fn element_id(upstream: &str, action: &str) -> String {
    format!("{action}-{upstream}")
}

fn problem(name: &str, refused: &RefusedForm) -> AnyView {
    let words = format!("{name}: {}", refused.problem);
    view! { <p class="problem" role="alert" data-testid="problem">{words}</p> }.into_any()
}

fn pause_details(upstream: &UpstreamPanel, refused: Option<&RefusedForm>) -> AnyView {
    let UpstreamPanel { id, name, is_paused, .. } = upstream;
    let pause_name = if *is_paused { "Change pause" } else { "Pause" };
    let typed = refused.cloned().unwrap_or_default();
    let lengths =
        [("15m", "15 minutes"), ("1h", "1 hour"), ("tomorrow", "until tomorrow, 08:00 UTC")];
    let lengths = lengths
        .map(|(value, words)| {
            view! { <option value=value selected=value == typed.length>{words}</option> }
        })
        .collect_view();
    view! {
        <details
            id=element_id(id, "pause")
            name=format!("of-{id}")
            open=refused.is_some()
        >
            <summary aria-label=format!("{pause_name}: {name}")>{pause_name}</summary>
            <form method="post" action=format!("/channels/{id}/pause")>
                {refused.map(|form| problem(name, form))}
                <p>
                    "Nothing more is sent for anybody. Calls in progress still finish, and what waits goes on by itself when the pause ends."
                </p>
                <label>"For" <select name="for">{lengths}</select></label>
                <label>
                    "or until (UTC)" <input type="datetime-local" name="until" value=typed.until/>
                </label>
                <label>
                    "Why"
                    <input
                        type="text"
                        name="note"
                        maxlength="200"
                        placeholder="Everybody sees it at their items"
                        value=typed.note
                    />
                </label>
                <button>"Pause for everybody"</button>
            </form>
        </details>
    }
    .into_any()
}

fn pace_details(upstream: &UpstreamPanel, refused: Option<&RefusedForm>) -> AnyView {
    let UpstreamPanel { id, name, limits, .. } = upstream;
    let is_known = |form: &&RefusedForm| limits.iter().any(|limit| limit.id == form.limit);
    // A limit that does not exist has no form.
    let of_none = refused.filter(|form| !is_known(form)).map(|form| problem(name, form));
    let forms = limits
        .iter()
        .map(|limit| pace_form(upstream, limit, refused.filter(|form| form.limit == limit.id)))
        .collect_view();
    view! {
        <details id=element_id(id, "pace") name=format!("of-{id}") open=refused.is_some()>
            <summary aria-label=format!("Change pace: {name}")>"Change pace"</summary>
            {of_none}
            {forms}
        </details>
    }
    .into_any()
}

fn pace_form(
    upstream: &UpstreamPanel,
    limit: &LimitLine,
    refused: Option<&RefusedForm>,
) -> AnyView {
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
    let value = refused.map_or(rate, |form| &form.rate).clone();
    view! {
        <form
            method="post"
            action=format!("/channels/{}/pace", upstream.id)
            id=element_id(id, "rate")
        >
            {refused.map(|form| problem(&upstream.name, form))}
            <input type="hidden" name="limit" value=id.clone()/>
            <label>
                {label}
                <input type="text" name="rate" inputmode="decimal" required autocomplete="off" value=value/>
            </label>
            <button>"Change for everybody"</button>
            {back}
        </form>
    }
    .into_any()
}
