//! The account's machines: their state, and what the last start did to them.

use crate::{
    data::launch::{Machine, MachinesPage, ask_machines},
    frame::{Frame, ProblemLine},
    live::Live,
    load::Loaded,
    page::problem::{failed, sentence},
    title::Title,
    words,
};
use contract::{api::Task, state::TaskState};
use leptos::prelude::*;

/// As [`contract::command`] calls them.
const START: &str = "ec2.start";
const ALARM: &str = "alarm.create";

const ASKING: &str = "Asking EC2 …";

/// Read anew with everything else: what was told of their starts may be lost.
pub fn read() -> Loaded<MachinesPage> {
    let live = expect_context::<Live>();
    Loaded::versioned(move || (ask_machines(), [live.resync.get().into(), 0, 0]))
}

#[component]
pub fn Machines() -> impl IntoView {
    let page = read();
    let ticked = RwSignal::new(Vec::new());
    view! {
        <Title text="Machines"/>
        {page.view(ASKING, move |read| whole(read, page, ticked), failed)}
    }
    .into_any()
}

fn whole(read: MachinesPage, page: Loaded<MachinesPage>, ticked: RwSignal<Vec<String>>) -> AnyView {
    view! {
        <Frame since=read.since.clone()>
            <h1>"Machines"</h1>
            <ProblemLine/>
            <section class="panel all" aria-label="All machines">
                {list(read, page, ticked)}
            </section>
        </Frame>
    }
    .into_any()
}

/// The same as a part of another page.
#[component]
pub fn Panel(page: Loaded<MachinesPage>) -> impl IntoView {
    // What is ticked stays when the list is read anew.
    let ticked = RwSignal::new(Vec::new());
    page.view(ASKING, move |read| list(read, page, ticked), |error| problem(sentence(error)))
}

fn problem(words: String) -> AnyView {
    view! { <p class="problem" role="alert" data-testid="machines-problem">{words}</p> }.into_any()
}

/// Asks EC2 again; without scripts the link loads the page again.
#[component]
fn Refresh(page: Loaded<MachinesPage>) -> impl IntoView {
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

fn list(read: MachinesPage, page: Loaded<MachinesPage>, ticked: RwSignal<Vec<String>>) -> AnyView {
    let MachinesPage { since, key, machines } = read;
    // A form that may have done something is sent again under its own key.
    let kept = leptos_router::hooks::use_query_map().read_untracked().get("key");
    let key = kept.unwrap_or(key);
    let again = view! { <Refresh page=page/> }.into_any();
    let machines = match machines {
        Ok(machines) if machines.is_empty() => {
            return view! {
                <p class="empty">
                    "This account has no machine. Those that you make in EC2 appear here, to be \
                     started and watched."
                </p>
                <p class="buttons">{again}</p>
            }
            .into_any();
        }
        Ok(machines) => machines,
        Err(words) => {
            return view! {
                {problem(words)}
                <p class="buttons">{again}</p>
            }
            .into_any();
        }
    };
    let rows = machines
        .into_iter()
        .map(|machine| view! { <Row machine=machine seq=since.seq ticked=ticked/> })
        .collect_view();
    let count = move || ticked.with(Vec::len) as u64;
    view! {
        <form method="post" action="/launch/machines" autocomplete="off">
            <input type="hidden" name="key" value=key/>
            <ul class="machines">{rows}</ul>
            <p class="buttons">
                <button class="main">
                    {move || match count() {
                        0 => "Start machines".into(),
                        count => format!("Start {}", words::many(count, "machine")),
                    }}
                </button>
                {again}
            </p>
            <p class="more">"Each gets its alarm once it runs."</p>
        </form>
    }
    .into_any()
}

/// A machine's state as of the newest of EC2's answer and the facts since.
fn state(page: &str, start: Option<&Task>) -> String {
    let begun = start.is_some_and(|start| !start.state.is_end() && start.attempt > 0);
    let done = start.is_some_and(|start| start.state == TaskState::Succeeded);
    let state = match page {
        "stopped" if begun => "pending",
        "pending" if done => "running",
        other => other,
    };
    words::machine(state).to_owned()
}

/// What the last start of a machine came to, with its alarm.
fn told(start: &Task, alarm: Option<&Task>) -> String {
    let of = |task: &Task, what: &str| {
        let reason = match task.state {
            TaskState::Succeeded => String::new(),
            _ => words::reason(task),
        };
        let gap = if reason.is_empty() { "" } else { ": " };
        format!("{what} {}{gap}{reason}", words::task(task))
    };
    match alarm {
        Some(alarm) => format!("{}, {}", of(start, "Start"), of(alarm, "alarm")),
        None => of(start, "Start"),
    }
}

#[component]
fn Row(machine: Machine, seq: i64, ticked: RwSignal<Vec<String>>) -> impl IntoView {
    let live = expect_context::<Live>();
    let Machine { instance, start, alarm } = machine;
    let (id, at_first) = (instance.id.clone(), instance.state.clone());
    let page = start.clone();
    let start = {
        let id = id.clone();
        Memo::new(move |_| live.last_about(START, &id, page.as_ref(), seq))
    };
    let alarm = {
        let id = id.clone();
        Memo::new(move |_| {
            let job = start.read().as_ref()?.job;
            live.last_about(ALARM, &id, alarm.as_ref(), seq).filter(|alarm| alarm.job == job)
        })
    };
    // What EC2 said before a start that was heard of since is old.
    let known = StoredValue::new(start.get_untracked().map(|start| start.id));
    let now = Memo::new(move |_| {
        start.with(|start| {
            let newer = start.as_ref().is_some_and(|start| known.get_value() != Some(start.id));
            match start {
                Some(start) if newer && start.state == TaskState::Succeeded => "running".into(),
                start => state(&at_first, start.as_ref()),
            }
        })
    });
    let may = Memo::new(move |_| now.with(|now| now == "stopped"));
    let (mine, own) = (id.clone(), id.clone());
    let gone = own.clone();
    Effect::new(move |_| {
        if !may.get() && ticked.with_untracked(|ticked| ticked.contains(&gone)) {
            ticked.update(|ticked| ticked.retain(|known| *known != gone));
        }
    });
    let is_ticked = move || may.get() && ticked.with(|ticked| ticked.contains(&mine));
    let last = move || {
        start.with(|start| {
            let start = start.as_ref()?;
            let words = alarm.with(|alarm| told(start, alarm.as_ref()));
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
            <small class="last" aria-live="polite">
                {last}
            </small>
        </li>
    }
    .into_any()
}
