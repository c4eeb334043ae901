//! Failed items of everybody by reason: the section of the page, and the list of one reason, from
//! which all of them can run again.

use super::{Column, section};
use crate::{
    labels,
    server::{RequestContext, server_error},
};
use engine::store::{FAILED_TASKS_LIMIT, FailedTask, FailureReason};
use leptos::prelude::*;

/// Number of reasons on the page, and of items in the list of one.
const REASONS_LIMIT: usize = 30;
const ITEMS_LIMIT: usize = 200;

/// Renders the reasons for which items failed.
pub fn by_reason(failed: &[FailedTask], now: i64) -> AnyView {
    let reasons = FailureReason::group(failed);
    let rows = reasons
        .iter()
        .take(REASONS_LIMIT)
        .map(|reason| {
            let newest = &reason.newest;
            view! {
                <tr>
                    <td class="number">{labels::group_thousands(reason.tasks.into())}</td>
                    <td>{command_name(newest)}</td>
                    <td>
                        <a href=reason_url(&reason.id)>{newest.outcome.message.clone()}</a>
                    </td>
                    <td>{labels::time_ago(newest.updated_at, now)}</td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let about = match failed.len() >= FAILED_TASKS_LIMIT as usize {
        true => {
            let limit = labels::group_thousands(FAILED_TASKS_LIMIT.into());
            format!("Items that failed or were rejected, the newest {limit}, by reason.")
        }
        false => {
            "Items that failed or were rejected, by reason. Open one to see the items, edit a \
                  command, or have them run again."
                .to_owned()
        }
    };
    let columns = [
        Column::Number("Items"),
        Column::Text("Command"),
        Column::Text("Why"),
        Column::Text("Last"),
    ];
    section("failed-items", "Failed items", about, &columns, rows, "No item has failed.")
}

/// Renders the items that failed for a reason; `None` if there are none, or no longer.
///
/// # Errors
/// Fails if the database does.
pub async fn reason_page(
    request: &RequestContext,
    reason: &str,
) -> Result<Option<AnyView>, ServerFnError> {
    let engine = &request.engine;
    let tasks = engine.failed_tasks_of_reason(reason).await.map_err(server_error)?;
    let back = view! {
        <p>
            <a href="/operations">"All operations"</a>
        </p>
    };
    let Some(summary) = FailureReason::group(&tasks).into_iter().next() else {
        let view = view! {
            {back}
            <p class="empty" data-testid="no-failed-items">
                "No item fails for this reason any more."
            </p>
        };
        return Ok(Some(view.into_any()));
    };
    let now = engine.store().database.now_ms();
    let rows = tasks
        .iter()
        .take(ITEMS_LIMIT)
        .map(|task| {
            view! {
                <tr data-testid="failed-item">
                    <th scope="row">
                        <a href=task_url(task)>{subject(task)}</a>
                    </th>
                    <td>{task.title.clone()}</td>
                    <td>{task.owner.clone()}</td>
                    <td>{labels::time_ago(task.updated_at, now)}</td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let about = match tasks.len() > ITEMS_LIMIT {
        true => format!("The newest {ITEMS_LIMIT}."),
        false => String::new(),
    };
    let columns = ["Item", "Title", "Owner", "Failed"].map(Column::Text);
    let view = view! {
        {back}
        <h2 data-testid="reason">{summary.newest.outcome.message.clone()}</h2>
        <p>{how_many(&summary)}</p>
        {replay_all(&summary)}
        {section("items", "Items", about, &columns, rows, "")}
    };
    Ok(Some(view.into_any()))
}

/// Says in words what running all of them again is about.
fn how_many(reason: &FailureReason) -> String {
    let jobs = labels::count_noun(reason.jobs.into(), "job");
    let owners = match reason.owners {
        1 => reason.newest.owner.clone(),
        owners => format!("{owners} people"),
    };
    let items = labels::count_noun(reason.tasks.into(), "item");
    format!("{items} in {jobs} of {owners}.")
}

/// A replay of many items has to be opened before it can be confirmed.
fn replay_all(reason: &FailureReason) -> AnyView {
    let items = labels::count_noun(reason.tasks.into(), "item");
    let them = if reason.tasks == 1 { "it is" } else { "they are" };
    view! {
        <details class="replay-all">
            <summary>"Replay all of them"</summary>
            <form method="post" action="/operations/failures">
                <input type="hidden" name="subject" value=reason.id.clone()/>
                <input type="hidden" name="until" value=reason.newest.updated_at.to_string()/>
                <p>
                    {format!(
                        "{} run again as {them} stored now, with all attempts. Their owners see it.",
                        how_many(reason).trim_end_matches('.'),
                    )}
                </p>
                <button class="primary">{format!("Replay {items}")}</button>
            </form>
        </details>
    }
    .into_any()
}

/// Returns the kind of a failed command with where it goes, such as `upload to acme`.
fn command_name(task: &FailedTask) -> String {
    let kind = labels::task_kind(&task.kind);
    match &task.channel {
        Some(channel) => format!("{kind} to {channel}"),
        None => kind,
    }
}

fn subject(task: &FailedTask) -> String {
    match &task.channel {
        Some(channel) => format!("{} on {channel}", task.sku),
        None => format!("{}, {}", task.sku, labels::task_kind(&task.kind)),
    }
}

fn reason_url(reason: &str) -> String {
    format!("/operations/failures?id={reason}")
}

fn task_url(task: &FailedTask) -> String {
    format!("/operations/task?id={}", task.id)
}
