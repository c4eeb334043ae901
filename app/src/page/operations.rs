//! Page for those who run the system: what waits and runs, of all users, what went wrong, and who
//! changed what.

mod audit;
mod command;
mod failed_items;
mod parts;

pub use command::SubmittedEdit;

use crate::{
    labels,
    server::{RequestContext, server_error},
};
use contract::api::{Role, UpstreamStatus};
use engine::{
    store::{AuditScope, Backlog, OwnedJob, QueueBacklog, QueueReader, RejectedMessage},
    task_queue::QueueDepth,
};
use leptos::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Numbers of entries in the lists of the page.
const RUNNING_JOBS_LIMIT: u32 = 50;
const REJECTED_LIMIT: u32 = 20;
const AUDIT_LIMIT: u32 = 50;
/// Characters of a rejected message on the page.
const MESSAGE_LENGTH: usize = 600;

/// Renders the page, or the part of it that `argument` names: `failures/<reason>`, `task/<id>` or
/// `edit/<id>`. The result is `None` if there is no such part, or the user is not an admin.
///
/// # Errors
/// Fails if the database does.
pub async fn content(
    request: &RequestContext,
    argument: Option<&str>,
) -> Result<Option<AnyView>, ServerFnError> {
    if request.identity.role != Role::Admin {
        return Ok(None);
    }
    let Some(argument) = argument else { return overview(request).await.map(Some) };
    let (part, id) = argument.split_once('/').unwrap_or((argument, ""));
    match (part, id.parse()) {
        ("failures", _) => failed_items::reason_page(request, id).await,
        ("task", Ok(task)) => command::task_page(request, task).await,
        ("edit", Ok(task)) => command::edit_page(request, task).await,
        _ => Ok(None),
    }
}

async fn overview(request: &RequestContext) -> Result<AnyView, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let now = store.database.now_ms();
    let backlog = store.jobs.backlog().await.map_err(server_error)?;
    let held = store.jobs.held_tasks(parts::HELD_TASKS_LIMIT).await.map_err(server_error)?;
    let workers = store.coordination.workers().await.map_err(server_error)?;
    let lease_ms = i64::try_from(store.database.lease().as_millis()).unwrap_or(i64::MAX);
    let (parts, depths) = engine.parts().await;
    let jobs = store.jobs.running_jobs_of_all(RUNNING_JOBS_LIMIT).await.map_err(server_error)?;
    let rejected = store.jobs.rejected_messages(REJECTED_LIMIT).await.map_err(server_error)?;
    let reader = QueueReader { user: identity.user, sees_all: true };
    let upstreams = engine.upstream_statuses(reader).await.map_err(server_error)?;
    let entries = store.audit.entries(AuditScope::Everything, None, AUDIT_LIMIT).await;
    let entries = entries.map_err(server_error)?.items;
    let failed = store.jobs.failed_tasks_of_all().await.map_err(server_error)?;
    let view = view! {
        <div class="operations">
            {parts::parts(&parts, &upstreams, now)}
            {queues(&backlog, &depths, now)}
            {parts::workers(&workers, &held, lease_ms, now)}
            {failed_items::by_reason(&failed, now)}
            {failures(&upstreams, now)}
            {running_jobs(&jobs, backlog.jobs, now)}
            {rejected_messages(&rejected, now)}
            {audit::log(&entries, &upstreams, now)}
        </div>
    };
    Ok(view.into_any())
}

/// Head of a column.
#[derive(Clone, Copy)]
enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// A part of the page. `empty` stands in the place of a table without rows.
fn section(
    id: &'static str,
    title: &'static str,
    about: String,
    columns: &[Column],
    rows: Vec<AnyView>,
    empty: &'static str,
) -> AnyView {
    let head = |column: &Column| {
        let (name, class) = match *column {
            Column::Text(name) => (name, None),
            Column::Number(name) => (name, Some("number")),
        };
        view! { <th scope="col" class=class>{name}</th> }
    };
    let heads = columns.iter().map(head).collect_view();
    let table = match rows.is_empty() {
        true => view! { <p class="empty">{empty}</p> }.into_any(),
        false => view! {
            <div class="table-region" tabindex="0" role="region" aria-labelledby=id>
                <table class="data-table">
                    <thead>
                        <tr>{heads}</tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any(),
    };
    view! {
        <section aria-labelledby=id data-testid=id>
            <h2 id=id>{title}</h2>
            {(!about.is_empty()).then(|| view! { <p class="meta">{about}</p> })}
            {table}
        </section>
    }
    .into_any()
}

fn queues(backlog: &Backlog, depths: &HashMap<String, QueueDepth>, now: i64) -> AnyView {
    let sorted: BTreeMap<_, _> = backlog.queues.iter().collect();
    let number = |count: u32| labels::group_thousands(count.into());
    let row = |(name, queue): (&String, &QueueBacklog)| {
        let oldest = match queue.due_since {
            Some(since) => labels::duration(now - since),
            None => "–".into(),
        };
        let depth = depths.get(name);
        let consumers = depth.map_or_else(|| "–".into(), |depth| depth.consumers.to_string());
        view! {
            <tr>
                <th scope="row"><code>{name.clone()}</code></th>
                <td class="number">{number(queue.queued)}</td>
                <td class="number">{number(queue.published)}</td>
                <td class="number">{number(queue.running)}</td>
                <td class="number">{oldest}</td>
                <td class="number">{consumers}</td>
            </tr>
        }
        .into_any()
    };
    let open: u64 = backlog
        .queues
        .values()
        .map(|queue| {
            u64::from(queue.queued) + u64::from(queue.published) + u64::from(queue.running)
        })
        .sum();
    let jobs = labels::count_noun(backlog.jobs.into(), "running job");
    let about = format!("{} in {jobs}", labels::count_noun(open, "open item"));
    let columns = [
        Column::Text("Queue"),
        Column::Number("Not sent yet"),
        Column::Number("In the queue"),
        Column::Number("Running"),
        Column::Number("Oldest waits for"),
        Column::Number("Consumers"),
    ];
    let rows = sorted.into_iter().map(row).collect();
    section("queues", "Queues", about, &columns, rows, "Nothing waits and nothing runs.")
}

fn failures(upstreams: &[UpstreamStatus], now: i64) -> AnyView {
    let mut errors: Vec<_> = upstreams
        .iter()
        .flat_map(|upstream| upstream.errors.iter().map(move |error| (upstream, error)))
        .collect();
    errors.sort_by_key(|(_, error)| std::cmp::Reverse(error.count));
    let rows = errors
        .into_iter()
        .map(|(upstream, error)| {
            let about = match error.last_item {
                Some((job, task)) => view! {
                    <a href=format!("/jobs/{job}?task={task}")>{error.message.clone()}</a>
                }
                .into_any(),
                None => error.message.clone().into_any(),
            };
            view! {
                <tr>
                    <td class="number">{labels::group_thousands(error.count.into())}</td>
                    <td>{upstream.name.clone()}</td>
                    <td>{about}</td>
                    <td>{labels::time_ago(error.last_at, now)}</td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let about = "The last failed attempts at each channel and account, by reason.".to_owned();
    let columns = [
        Column::Number("How often"),
        Column::Text("At"),
        Column::Text("Why"),
        Column::Text("Last"),
    ];
    section("failures", "Failed attempts", about, &columns, rows, "No attempt has failed.")
}

fn running_jobs(jobs: &[OwnedJob], total: u32, now: i64) -> AnyView {
    let rows = jobs
        .iter()
        .map(|OwnedJob { job, owner }| {
            view! {
                <tr>
                    <th scope="row">{job.title.clone()}</th>
                    <td>{owner.clone()}</td>
                    <td>{labels::job_status(job)}</td>
                    <td>{labels::job_progress(job)}</td>
                    <td>{labels::time_ago(job.created_at, now)}</td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let about = match total > RUNNING_JOBS_LIMIT {
        true => {
            format!("The oldest {RUNNING_JOBS_LIMIT} of {}.", labels::group_thousands(total.into()))
        }
        false => String::new(),
    };
    let columns = ["Job", "Owner", "State", "Progress", "Launched"].map(Column::Text);
    section("running-jobs", "Everyone's running jobs", about, &columns, rows, "No job runs.")
}

fn rejected_messages(messages: &[RejectedMessage], now: i64) -> AnyView {
    let rows = messages
        .iter()
        .map(|message| {
            let text: String = message.text.chars().take(MESSAGE_LENGTH).collect();
            view! {
                <tr>
                    <td>{labels::time_ago(message.at, now)}</td>
                    <td><code>{message.queue.clone()}</code></td>
                    <td>
                        {message.reason.clone()}
                        <details>
                            <summary>"The message"</summary>
                            <pre>{text}</pre>
                        </details>
                    </td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let about = "A message that no worker can read is set aside; its task is published again.";
    let columns = ["When", "Queue", "Why"].map(Column::Text);
    let empty = "No message was rejected.";
    section("rejected", "Rejected messages", about.to_owned(), &columns, rows, empty)
}
