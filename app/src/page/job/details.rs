//! Details of one task: its attempts, and the actions on it.

use super::route_state::JobRoute;
use crate::{
    labels,
    live::LiveState,
    page::{load_error::section_error, server_page::server_html},
    resource::{ServerResource, resource_view},
};
use contract::{JobId, TaskId, api::Task, state::TaskState};
use leptos::{html, prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

/// A task for the panel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPanel {
    task: Task,
    /// Where its time went, and its attempts, as HTML.
    history: String,
}

/// Returns a task with its history, or `None` if it does not exist or belongs to someone
/// else.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_task(id: String) -> Result<Option<TaskPanel>, ServerFnError> {
    use super::history;
    use crate::server::{RequestContext, request_context, server_error};
    use contract::{api::TaskDetail, fact::FactKind};
    let RequestContext { engine, identity } = request_context()?;
    let Ok(id) = id.parse() else { return Ok(None) };
    let store = engine.store();
    let TaskDetail { mut task, attempts, edited_at, .. } =
        match store.jobs.task(identity.user, id).await {
            Ok(detail) => detail,
            Err(engine::store::Error::NotFound) => return Ok(None),
            Err(error) => return Err(server_error(error)),
        };
    engine.explain_pauses(std::iter::once(&mut task)).await.map_err(server_error)?;
    let limit = history::FACTS_LIMIT;
    let facts = store.journal.task_journal(identity.user, task.job, id, limit).await;
    let facts = facts.map_err(server_error)?;
    let job = store.jobs.job(identity.user, task.job).await.map_err(server_error)?;
    // A task that another one caused began with the fact that says so.
    let created = facts.iter().find(|fact| fact.kind == FactKind::TaskCreated);
    let created_at = created.map_or(job.created_at, |fact| fact.at);
    let now = store.database.now_ms();
    let history = history::history(&task, &attempts, &facts, created_at, now);
    let history = (history::edited(edited_at, now), history).to_html();
    Ok(Some(TaskPanel { task, history }))
}

/// Creates the resource of the task that the URL names. It is loaded again when the task
/// changes.
pub fn task_resource(route: JobRoute) -> ServerResource<Option<TaskPanel>> {
    let live = expect_context::<LiveState>();
    let source = move || {
        let task = route.task.get()?;
        let version = task.parse().ok().map(|task: TaskId| live.task_version(task));
        Some((task, version, live.resync_count.get()))
    };
    Resource::new(source, async |shown| match shown {
        Some((task, ..)) => load_task(task).await,
        None => Ok(None),
    })
}

/// Panel beside the grid, shown while the URL names a task.
#[component]
pub fn Details(
    job: JobId,
    detail: ServerResource<Option<TaskPanel>>,
    route: JobRoute,
) -> impl IntoView {
    // The heading takes the focus once per task, not at each update.
    let focused = StoredValue::new(None);
    let show = move |found: Option<_>| {
        // A closed task is not shown while the resource still has it.
        let open = route.task.get().is_some();
        match found {
            Some(found) if open => details_panel(job, found, focused, route).into_any(),
            _ => ().into_any(),
        }
    };
    resource_view(detail, "", show, section_error)
}

fn details_panel(
    job: JobId,
    found: TaskPanel,
    focused: StoredValue<Option<String>>,
    route: JobRoute,
) -> impl IntoView {
    let TaskPanel { task, history } = found;
    let heading = NodeRef::<html::H2>::new();
    let id = task.id.to_string();
    heading.on_load(move |heading| {
        if focused.with_value(|last| last.as_ref() != Some(&id)) {
            focused.set_value(Some(id));
            let _ = heading.focus();
        }
    });
    let made = task.outcome.as_ref().and_then(|outcome| outcome.reference.clone());
    view! {
        <aside class="details" data-testid="details" aria-labelledby="details">
            <a class="close" href=move || route.url_without_details() data-noscroll="">"Close"</a>
            <h2 id="details" tabindex="-1" node_ref=heading>{labels::task_subject(&task)}</h2>
            <p>{task.title.clone()}</p>
            <p>
                <strong data-state=labels::task_state_attribute(&task)>{labels::task_status(&task)}</strong>
                " "
                {labels::task_reason(&task)}
            </p>
            {made.map(|made| view! { <p>"Reference of the service: " <code>{made}</code></p> })}
            <div class="buttons">{task_actions(job, &task, route)}</div>
            {server_html(history)}
        </aside>
    }
}

fn task_actions(job: JobId, task: &Task, route: JobRoute) -> AnyView {
    let id = task.id.to_string();
    let shown =
        move || view! { <input type="hidden" name="shown" value=move || route.return_query()/> };
    match task.state {
        TaskState::Failed | TaskState::Rejected | TaskState::Cancelled => view! {
            <form method="post" action=format!("/jobs/{job}/retry")>
                <input type="hidden" name="task" value=id/>
                {shown()}
                <button>{retry_label(task.state)}</button>
            </form>
        }
        .into_any(),
        TaskState::NeedsReview => view! {
            <form class="buttons" method="post" action=format!("/tasks/{id}/resolve")>
                {shown()}
                <button name="as" value="succeeded">"It is done"</button>
                <button name="as" value="retry">"Do it again"</button>
            </form>
        }
        .into_any(),
        _ => ().into_any(),
    }
}

/// Returns the label of the button that queues a task again.
const fn retry_label(state: TaskState) -> &'static str {
    match state {
        TaskState::Rejected => "Send it unchanged again",
        TaskState::Cancelled => "Launch again",
        _ => "Retry",
    }
}
