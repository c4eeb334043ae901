//! The machines of all accounts: their state, and the result of the last start.

mod selection;

pub use selection::SubmittedMachines;

use crate::{
    labels,
    live::LiveState,
    page::load_error::{error_message, page_error},
    page_context::PageContext,
    resource::{ServerResource, resource_view},
    shell::{FlashAlert, PageShell},
    title::Title,
};
use contract::{
    api::{Instance, Task},
    command::{AlarmCreate, Command, Ec2Start},
    state::TaskState,
};
use leptos::{prelude::*, server_fn::codec::Json};
use selection::{Selection, pasted_ids_field, submitted_notice};
use serde::{Deserialize, Serialize};

const LOADING_TEXT: &str = "Asking EC2 …";

/// Number of start jobs whose tasks are shown with the machines.
#[cfg(feature = "ssr")]
const START_JOBS_LIMIT: u32 = 5;

/// Machine together with the user's last start of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Machine {
    instance: Instance,
    start: Option<Task>,
    alarm: Option<Task>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinesPage {
    context: PageContext,
    /// A new idempotency key for the next start.
    idempotency_key: String,
    /// The machines, or why they can't be listed.
    machines: Result<Vec<Machine>, String>,
    /// Accounts whose machines could not be listed, each with the reason, if others could.
    problems: Vec<String>,
    /// What the previous form asked for, if it started nothing.
    submitted: Option<SubmittedMachines>,
}

/// Returns the EC2 account's machines, with the results of the user's last starts.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_machines() -> Result<MachinesPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    use contract::state::JobKind;
    use engine::store::{JobQuery, TaskQuery};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let submitted = use_context::<SubmittedMachines>();
    let idempotency_key = match &submitted {
        Some(form) => form.idempotency_key.clone(),
        None => engine::engine::new_idempotency_key(),
    };
    let instances = match engine.machines().list().await {
        Ok(instances) => instances,
        Err(error) => {
            let (machines, problems) = (Err(error.to_string()), Vec::new());
            return Ok(MachinesPage { context, idempotency_key, machines, problems, submitted });
        }
    };
    let problems = engine.machines().last_problems();
    let problems = problems
        .iter()
        .map(|(location, error)| format!("{} in {}: {error}", location.account, location.region))
        .collect();
    let store = engine.store();
    let starts =
        JobQuery { limit: START_JOBS_LIMIT, kind: Some(JobKind::Ec2Starts), ..JobQuery::default() };
    let starts = store.jobs.find_jobs(identity.user, starts).await.map_err(server_error)?;
    let mut tasks: Vec<Task> = Vec::new();
    // Newest first, so the first that is found about a machine is its last.
    for job in starts.items {
        let query = TaskQuery { limit: 500, ..TaskQuery::default() };
        let of_job = store.jobs.find_tasks(identity.user, job.id, query).await;
        tasks.extend(of_job.map_err(server_error)?);
    }
    let machines = instances.iter().map(|instance| {
        let about = |kind: &str| {
            tasks.iter().find(|task| task.sku == instance.id && task.kind == kind).cloned()
        };
        let start = about(Ec2Start::KIND);
        let job = start.as_ref().map(|start| start.job);
        let alarm = about(AlarmCreate::KIND).filter(|alarm| Some(alarm.job) == job);
        Machine { instance: instance.clone(), start, alarm }
    });
    let machines = Ok(machines.collect());
    Ok(MachinesPage { context, idempotency_key, machines, problems, submitted })
}

/// Creates the resource of the machines. It is loaded again at a resync, because facts about
/// starts may have been missed.
pub fn machines_resource() -> ServerResource<MachinesPage> {
    let live = expect_context::<LiveState>();
    Resource::new(move || live.resync_count.get(), |_| load_machines())
}

#[component]
pub fn Machines() -> impl IntoView {
    let page = machines_resource();
    let selection = Selection::default();
    let show = move |read| page_content(read, page, selection);
    view! {
        <Title text="Machines"/>
        {resource_view(page, LOADING_TEXT, show, page_error)}
    }
    .into_any()
}

fn page_content(
    read: MachinesPage,
    page: ServerResource<MachinesPage>,
    selection: Selection,
) -> AnyView {
    view! {
        <PageShell context=read.context.clone()>
            <h1>"Machines"</h1>
            <FlashAlert/>
            <section class="panel machines-page" aria-label="All machines">
                {machine_list(read, page, selection)}
            </section>
        </PageShell>
    }
    .into_any()
}

/// Panel with the machines, as a part of another page.
#[component]
pub fn MachinesPanel(page: ServerResource<MachinesPage>) -> impl IntoView {
    let selection = Selection::default();
    resource_view(
        page,
        LOADING_TEXT,
        move |read| machine_list(read, page, selection),
        |error| machines_error(error_message(error)),
    )
}

fn machines_error(words: String) -> AnyView {
    view! { <p class="problem" role="alert" data-testid="machines-problem">{words}</p> }.into_any()
}

/// Button that queries EC2 again. Without scripts it is a link that reloads the page.
#[component]
fn RefreshButton(page: ServerResource<MachinesPage>) -> impl IntoView {
    view! {
        <a
            class="button"
            href="/machines"
            rel="external"
            on:click=move |event| {
                event.prevent_default();
                page.refetch();
            }
        >
            "Refresh"
        </a>
    }
}

fn machine_list(
    read: MachinesPage,
    page: ServerResource<MachinesPage>,
    selection: Selection,
) -> AnyView {
    let MachinesPage { context, idempotency_key: key, machines, problems, submitted } = read;
    // A form that may have had an effect keeps its idempotency key.
    let submitted_key = leptos_router::hooks::use_query_map().read_untracked().get("key");
    let key = submitted_key.unwrap_or(key);
    let again = view! { <RefreshButton page=page/> }.into_any();
    let machines = match machines {
        Ok(machines) if machines.is_empty() => {
            return view! {
                <p class="empty">
                    "This account has no machines. Machines that you create in EC2 appear here, where \
                     you can start and watch them."
                </p>
                <p class="buttons">{again}</p>
            }
            .into_any();
        }
        Ok(machines) => machines,
        Err(words) => {
            return view! {
                {machines_error(words)}
                <p class="buttons">{again}</p>
            }
            .into_any();
        }
    };
    let rows = machines
        .into_iter()
        .map(|machine| view! { <MachineRow machine=machine seq=context.seq ticked=selection.ticked/> })
        .collect_view();
    let notice = submitted.map(|form| submitted_notice(form, selection));
    let problems = problems.into_iter().map(machines_error).collect_view();
    view! {
        <form method="post" action="/launch/machines" autocomplete="off">
            <input type="hidden" name="key" value=key/>
            {notice}
            {problems}
            <ul class="machines">{rows}</ul>
            {pasted_ids_field(selection)}
            <p class="buttons">
                <button class="primary">
                    {move || selection.button_label()}
                </button>
                {again}
            </p>
            <p class="more-hint">"Each machine gets an alarm once it is running."</p>
        </form>
    }
    .into_any()
}

/// Returns the machine's newest known state, from EC2's answer and later facts.
fn machine_state(page: &str, start: Option<&Task>) -> String {
    let begun = start.is_some_and(|start| !start.state.is_terminal() && start.attempt > 0);
    let done = start.is_some_and(|start| start.state == TaskState::Succeeded);
    let state = match page {
        "stopped" if begun => "pending",
        "pending" if done => "running",
        other => other,
    };
    labels::machine_state(state).to_owned()
}

/// Returns the result of a machine's last start and of its alarm.
fn start_summary(start: &Task, alarm: Option<&Task>) -> String {
    let of = |task: &Task, what: &str| {
        let reason = match task.state {
            TaskState::Succeeded => String::new(),
            _ => labels::task_reason(task),
        };
        let gap = if reason.is_empty() { "" } else { ": " };
        format!("{what} {}{gap}{reason}", labels::task_status(task))
    };
    match alarm {
        Some(alarm) => format!("{}, {}", of(start, "Start"), of(alarm, "alarm")),
        None => of(start, "Start"),
    }
}

#[component]
fn MachineRow(machine: Machine, seq: i64, ticked: RwSignal<Vec<String>>) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let Machine { instance, start, alarm } = machine;
    let (id, at_first) = (instance.id.clone(), instance.state.clone());
    let page = start.clone();
    let start = {
        let id = id.clone();
        Memo::new(move |_| live.last_machine_task(Ec2Start::KIND, &id, page.as_ref(), seq))
    };
    let alarm = {
        let id = id.clone();
        Memo::new(move |_| {
            let job = start.read().as_ref()?.job;
            live.last_machine_task(AlarmCreate::KIND, &id, alarm.as_ref(), seq)
                .filter(|alarm| alarm.job == job)
        })
    };
    // A start received later makes EC2's answer outdated.
    let known = StoredValue::new(start.get_untracked().map(|start| start.id));
    let now = Memo::new(move |_| {
        start.with(|start| {
            let newer = start.as_ref().is_some_and(|start| known.get_value() != Some(start.id));
            match start {
                Some(start) if newer && start.state == TaskState::Succeeded => "running".into(),
                start => machine_state(&at_first, start.as_ref()),
            }
        })
    });
    let may = Memo::new(move |_| now.with(|now| now == "stopped"));
    let (mine, own) = (id.clone(), id.clone());
    let deselected_id = own.clone();
    Effect::new(move |_| {
        if !may.get() && ticked.with_untracked(|ticked| ticked.contains(&deselected_id)) {
            ticked.update(|ticked| ticked.retain(|known| *known != deselected_id));
        }
    });
    let is_ticked = move || may.get() && ticked.with(|ticked| ticked.contains(&mine));
    let last = move || {
        start.with(|start| {
            let start = start.as_ref()?;
            let words = alarm.with(|alarm| start_summary(start, alarm.as_ref()));
            Some(view! { <a href=format!("/jobs/{}", start.job)>{words}</a> })
        })
    };
    let label = if instance.name.is_empty() { id.clone() } else { instance.name.clone() };
    let mut description =
        format!("{} · {} · {}", instance.id, instance.instance_type, instance.zone);
    if !instance.account.is_empty() {
        description = format!("{description} · {}", instance.account);
    }
    view! {
        <li data-testid="machine" data-machine=label.clone() data-state=move || now.get()>
            <label>
                <input
                    type="checkbox"
                    name="ids"
                    value=id
                    disabled=move || !may.get()
                    prop:checked=is_ticked
                    on:change=move |event| {
                        let on = event_target_checked(&event);
                        ticked
                            .update(|ticked| {
                                ticked.retain(|known| *known != own);
                                if on {
                                    ticked.push(own.clone());
                                }
                            });
                    }
                />
                <strong>{label.clone()}</strong>
                <span class="state">{move || now.get()}</span>
            </label>
            <small>{description}</small>
            <small aria-live="polite">
                {last}
            </small>
        </li>
    }
    .into_any()
}
