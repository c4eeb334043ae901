//! One task: every attempt, and what a person can do about it.

use super::asked::Asked;
use crate::{load::Loaded, page::problem::problem, words};
use contract::{
    JobId,
    api::{Attempt, Task, TaskDetail},
    state::TaskState,
};
use leptos::{html, prelude::*};

/// Beside the grid, while the address names a task.
#[component]
pub fn Details(job: JobId, detail: Loaded<Option<TaskDetail>>, asked: Asked) -> impl IntoView {
    // Taken once a task, not at each piece of news about it.
    let focused = StoredValue::new(None);
    let show = move |found: Option<_>| {
        // A task that nobody asks for any more is not shown meanwhile.
        let open = asked.task.get().is_some();
        match found {
            Some(found) if open => panel(job, found, focused, asked).into_any(),
            _ => ().into_any(),
        }
    };
    detail.view("", show, problem)
}

fn panel(
    job: JobId,
    found: TaskDetail,
    focused: StoredValue<Option<String>>,
    asked: Asked,
) -> impl IntoView {
    let TaskDetail { task, attempts, .. } = found;
    let heading = NodeRef::<html::H2>::new();
    let id = task.id.to_string();
    heading.on_load(move |heading| {
        if focused.with_value(|last| last.as_ref() != Some(&id)) {
            focused.set_value(Some(id));
            let _ = heading.focus();
        }
    });
    let none = attempts.is_empty();
    let tries = attempts.iter().map(attempt).collect_view();
    let made = task.outcome.as_ref().and_then(|outcome| outcome.reference.clone());
    view! {
        <aside class="details" data-testid="details" aria-labelledby="details">
            <a class="close" href=move || asked.closed() data-noscroll="">"Close"</a>
            <h2 id="details" tabindex="-1" node_ref=heading>{words::about(&task)}</h2>
            <p>{task.title.clone()}</p>
            <p>
                <strong data-state=task.state.as_str()>{words::task(&task)}</strong>
                " "
                {words::reason(&task)}
            </p>
            {made.map(|made| view! { <p>"The service calls it " <code>{made}</code></p> })}
            <div class="buttons">{actions(job, &task, asked)}</div>
            <h3>"Attempts"</h3>
            {none.then(|| view! { <p>"None has ended yet."</p> })}
            <ol class="attempts">{tries}</ol>
        </aside>
    }
}

fn actions(job: JobId, task: &Task, asked: Asked) -> AnyView {
    let id = task.id.to_string();
    let shown = move || view! { <input type="hidden" name="shown" value=move || asked.shown()/> };
    match task.state {
        TaskState::Failed => view! {
            <form method="post" action=format!("/jobs/{job}/retry")>
                <input type="hidden" name="task" value=id/>
                {shown()}
                <button>"Retry"</button>
            </form>
        }
        .into_any(),
        TaskState::NeedsPerson => view! {
            <form class="buttons" method="post" action=format!("/tasks/{id}/resolve")>
                {shown()}
                <button name="as" value="done">"It is done"</button>
                <button name="as" value="again">"Do it again"</button>
            </form>
        }
        .into_any(),
        _ => ().into_any(),
    }
}

fn attempt(attempt: &Attempt) -> impl IntoView + use<> {
    let took = words::duration(attempt.ended_at - attempt.started_at);
    let when = words::time(attempt.started_at);
    view! {
        <li data-testid="attempt">
            <strong>{format!("Attempt {}", attempt.number)}</strong>
            " "
            {attempt.outcome.message.clone()}
            " "
            <code>{attempt.outcome.code.clone()}</code>
            <small>{format!("{when}, took {took}")}</small>
        </li>
    }
}
