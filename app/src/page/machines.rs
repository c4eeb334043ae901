//! The EC2 account's machines: their state, and the result of the last start.

use crate::{
    labels,
    live::LiveState,
    page::load_error::{error_message, page_error},
    page_data::launch::{Machine, MachinesPage, machines_query},
    resource::PageResource,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use contract::{
    api::Task,
    command::{AlarmCreate, Command, Ec2Start},
    state::TaskState,
};
use leptos::prelude::*;

const LOADING_TEXT: &str = "Asking EC2 …";

/// Creates the resource of the machines. It is loaded again at a resync, because facts about
/// starts may have been missed.
pub fn machines_resource() -> PageResource<MachinesPage> {
    let live = expect_context::<LiveState>();
    PageResource::with_version(move || (machines_query(), [live.resync_count.get().into(), 0, 0]))
}

#[component]
pub fn Machines() -> impl IntoView {
    let page = machines_resource();
    let ticked = RwSignal::new(Vec::new());
    view! {
        <Title text="Machines"/>
        {page.view(LOADING_TEXT, move |read| page_content(read, page, ticked), page_error)}
    }
    .into_any()
}

fn page_content(
    read: MachinesPage,
    page: PageResource<MachinesPage>,
    ticked: RwSignal<Vec<String>>,
) -> AnyView {
    view! {
        <PageShell context=read.context.clone()>
            <h1>"Machines"</h1>
            <FlashAlert/>
            <section class="panel machines-page" aria-label="All machines">
                {machine_list(read, page, ticked)}
            </section>
        </PageShell>
    }
    .into_any()
}

/// Panel with the machines, as a part of another page.
#[component]
pub fn MachinesPanel(page: PageResource<MachinesPage>) -> impl IntoView {
    // The selection stays when the list is loaded again.
    let ticked = RwSignal::new(Vec::new());
    page.view(
        LOADING_TEXT,
        move |read| machine_list(read, page, ticked),
        |error| machines_error(error_message(error)),
    )
}

fn machines_error(words: String) -> AnyView {
    view! { <p class="problem" role="alert" data-testid="machines-problem">{words}</p> }.into_any()
}

/// Button that queries EC2 again. Without scripts it is a link that reloads the page.
#[component]
fn RefreshButton(page: PageResource<MachinesPage>) -> impl IntoView {
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
    page: PageResource<MachinesPage>,
    ticked: RwSignal<Vec<String>>,
) -> AnyView {
    let MachinesPage { context, idempotency_key: key, machines } = read;
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
        .map(|machine| view! { <MachineRow machine=machine seq=context.seq ticked=ticked/> })
        .collect_view();
    let count = move || ticked.with(Vec::len) as u64;
    view! {
        <form method="post" action="/launch/machines" autocomplete="off">
            <input type="hidden" name="key" value=key/>
            <ul class="machines">{rows}</ul>
            <p class="buttons">
                <button class="primary">
                    {move || match count() {
                        0 => "Start machines".into(),
                        count => format!("Start {}", labels::count_noun(count, "machine")),
                    }}
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
    let place = format!("{} · {} · {}", instance.id, instance.instance_type, instance.zone);
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
            <small>{place}</small>
            <small aria-live="polite">
                {last}
            </small>
        </li>
    }
    .into_any()
}
