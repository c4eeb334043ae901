//! Page of one command of anybody: its state, its message, and its attempts; and the form that
//! edits it.

use super::{Column, section};
use crate::{
    labels,
    server::{RequestContext, server_error},
};
use contract::{TaskId, api::Attempt, state::TaskState};
use engine::store::{self, StoredTask};
use leptos::prelude::*;

/// An edit that was not accepted. The form shows it again.
#[derive(Clone, Debug)]
pub struct SubmittedEdit {
    /// Revision of the body that the person saw.
    pub revision: u32,
    /// What was typed.
    pub body: String,
    /// What is wrong, and where.
    pub problem: String,
}

/// Renders a task with its command; `None` if there is no such task.
///
/// # Errors
/// Fails if the database does.
pub async fn task_page(
    request: &RequestContext,
    task: TaskId,
) -> Result<Option<AnyView>, ServerFnError> {
    let Some(stored) = find(request, task).await? else { return Ok(None) };
    let now = request.engine.store().database.now_ms();
    let StoredTask { task, owner_email, job_title, attempts, .. } = &stored;
    let message = stored.message().map(|message| pretty(&message));
    let message = message.unwrap_or_else(|error| error.to_string());
    let actions = is_failed(task.state).then(|| actions(&stored));
    let edited = stored.edited_by.as_ref().zip(stored.edited_at).map(|(by, at)| {
        let times = match stored.revision {
            1 => String::new(),
            times => format!(", {times} times in all"),
        };
        let when = labels::time_ago(at, now);
        view! { <p data-testid="edited">{format!("Edited by {by} {when}{times}.")}</p> }
    });
    let view = view! {
        <p>
            <a href="/operations">"All operations"</a>
        </p>
        <h2>{labels::task_subject(task)}</h2>
        <p>{format!("{}, in {job_title} of {owner_email}.", task.title)}</p>
        <p data-testid="command-state">
            <strong data-state=labels::task_state_attribute(task)>{labels::sentence_case(labels::task_status(task))}</strong>
            " "
            {labels::task_reason(task)}
        </p>
        {edited}
        {actions}
        {attempt_table(attempts)}
        <section aria-labelledby="message">
            <h2 id="message">"The message"</h2>
            <p class="meta">
                {format!("As it is published to {}.", stored.queue)}
            </p>
            <pre class="command-message" tabindex="0" aria-labelledby="message" data-testid="message">{message}</pre>
        </section>
    };
    Ok(Some(view.into_any()))
}

/// Renders the form that edits the command of a failed task; `None` if there is no such task.
///
/// # Errors
/// Fails if the database does.
pub async fn edit_page(
    request: &RequestContext,
    task: TaskId,
) -> Result<Option<AnyView>, ServerFnError> {
    let Some(stored) = find(request, task).await? else { return Ok(None) };
    let submitted = use_context::<SubmittedEdit>();
    let task_url = task_url(&stored);
    let heading = labels::task_subject(&stored.task);
    let form = match is_failed(stored.task.state) || submitted.is_some() {
        true => edit_form(&stored, submitted),
        false => view! {
            <p class="empty">
                "This item has not failed, or runs again already, so its command can't be edited."
            </p>
        }
        .into_any(),
    };
    let view = view! {
        <p>
            <a href=task_url>"Back to the item"</a>
        </p>
        <h2>{format!("Edit the command of {heading}")}</h2>
        {form}
    };
    Ok(Some(view.into_any()))
}

async fn find(request: &RequestContext, task: TaskId) -> Result<Option<StoredTask>, ServerFnError> {
    match request.engine.store().jobs.task_of_any(task).await {
        Ok(stored) => Ok(Some(stored)),
        Err(store::Error::NotFound) => Ok(None),
        Err(error) => Err(server_error(error)),
    }
}

const fn is_failed(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::Rejected)
}

/// What an admin does with a failed command. A command whose effect is unknown, or has begun, can't
/// be edited.
fn actions(stored: &StoredTask) -> AnyView {
    let id = stored.task.id.to_string();
    let edit = match (stored.task.outcome_unknown, stored.has_begun) {
        (true, _) => view! {
            <p class="meta">
                "Nobody knows whether the last call had its effect. Replay it as it is: the service \
                is asked first."
            </p>
        }
        .into_any(),
        (false, true) => view! {
            <p class="meta">
                "It has done a part of its work, so its data must not change now. Replay it: it does \
                the rest."
            </p>
        }
        .into_any(),
        (false, false) => view! {
            <a class="button" href=edit_url(stored)>
                "Edit the command"
            </a>
        }
        .into_any(),
    };
    view! {
        <form class="buttons" method="post" action="/operations/task">
            <input type="hidden" name="subject" value=id/>
            <input type="hidden" name="revision" value=stored.revision/>
            <button class="primary">"Replay it as it is"</button>
            {edit}
        </form>
    }
    .into_any()
}

fn edit_form(stored: &StoredTask, submitted: Option<SubmittedEdit>) -> AnyView {
    let current = pretty(&stored.body);
    let (revision, body, problem) = match submitted {
        Some(SubmittedEdit { revision, body, problem }) => (revision, body, Some(problem)),
        None => (stored.revision, current.clone(), None),
    };
    let is_invalid = problem.as_ref().map(|_| "true");
    let described_by = if problem.is_some() { "problem about" } else { "about" };
    let is_stale = revision != stored.revision;
    let problem = problem.map(|words| {
        view! { <p class="problem" role="alert" id="problem" data-testid="problem">{words}</p> }
    });
    let stale = is_stale.then(|| {
        view! {
            <details>
                <summary>"What is stored now"</summary>
                <pre class="command-message" data-testid="stored">{current}</pre>
            </details>
            <p>
                <a href=edit_url(stored) rel="external">
                    "Edit what is stored now"
                </a>
            </p>
        }
    });
    let (id, kind) = (stored.task.id.to_string(), stored.task.kind.clone());
    // A line feed after the start tag is not part of a textarea's value.
    let text = format!("\n{body}");
    let rows = body.lines().count().clamp(8, 30).to_string();
    view! {
        {problem}
        {stale}
        <form method="post" action=edit_url(stored)>
            <input type="hidden" name="subject" value=id/>
            <input type="hidden" name="revision" value=revision.to_string()/>
            <label for="body">"The command's data as JSON"</label>
            <p class="meta" id="about">
                "It is checked against " <a href=format!("/flows/{kind}")><code>{kind.clone()}</code></a>
                ". What it is about, such as the SKU and the channel, has to stay."
            </p>
            <textarea
                id="body"
                name="body"
                class="command-message"
                rows=rows
                spellcheck="false"
                autocomplete="off"
                aria-invalid=is_invalid
                aria-describedby=described_by
            >
                {text}
            </textarea>
            <div class="buttons">
                <button class="primary" name="then" value="replay">
                    "Save and replay"
                </button>
                <button name="then" value="save">
                    "Save"
                </button>
                <a class="button subtle" href=task_url(stored)>
                    "Discard"
                </a>
            </div>
        </form>
    }
    .into_any()
}

fn attempt_table(attempts: &[Attempt]) -> AnyView {
    let rows = attempts
        .iter()
        .map(|attempt| {
            let Attempt { number, started_at, ended_at, worker, outcome } = attempt;
            view! {
                <tr data-testid="command-attempt">
                    <td class="number">{number.to_string()}</td>
                    <td>{labels::timestamp(*started_at)}</td>
                    <td class="number">{labels::duration(ended_at - started_at)}</td>
                    <td>{outcome.message.clone()} " " <code>{outcome.code.clone()}</code></td>
                    <td><code>{worker.clone()}</code></td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let columns = [
        Column::Number("Attempt"),
        Column::Text("Began"),
        Column::Number("Took"),
        Column::Text("How it ended"),
        Column::Text("Worker"),
    ];
    section("attempts", "Attempts", String::new(), &columns, rows, "None has ended yet.")
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

fn task_url(stored: &StoredTask) -> String {
    format!("/operations/task?id={}", stored.task.id)
}

fn edit_url(stored: &StoredTask) -> String {
    format!("/operations/edit?id={}", stored.task.id)
}
