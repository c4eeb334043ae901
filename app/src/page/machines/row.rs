//! A machine of the list: its state, and the result of its last start or stop, updated live.

use super::{list::Machine, selection::Selection};
use crate::{labels, live::LiveState};
use contract::{
    api::{MachineAction, Task},
    command::{AlarmCreate, Command, Ec2Start, Ec2Stop},
    state::TaskState,
};
use leptos::prelude::*;

/// Returns EC2's newest known state: `listed`, unless the last start or stop says more.
/// A task that has changed since EC2 was asked, at `listed_at` in UTC milliseconds, makes EC2's
/// answer outdated.
fn current_state<'a>(listed: &'a str, action: Option<&Task>, listed_at: i64) -> &'a str {
    let Some(task) = action else { return listed };
    let is_later = task.updated_at >= listed_at;
    let (before, during, after) = match task.kind.as_str() {
        Ec2Stop::KIND => ("running", "stopping", "stopped"),
        _ => ("stopped", "pending", "running"),
    };
    let begun = !task.state.is_terminal() && task.attempt > 0;
    match task.state {
        TaskState::Succeeded if is_later || listed == during => after,
        _ if begun && listed == before => during,
        _ => listed,
    }
}

/// Returns the result of a machine's last start or stop, and of its alarm. A machine that only
/// has an alarm was launched.
fn action_summary(action: Option<&Task>, alarm: Option<&Task>) -> String {
    let of = |task: &Task| {
        let reason = match task.state {
            TaskState::Succeeded => String::new(),
            _ => labels::task_reason(task),
        };
        let gap = if reason.is_empty() { "" } else { ": " };
        format!("{} {}{gap}{reason}", labels::task_kind(&task.kind), labels::task_status(task))
    };
    let action = action.map_or_else(|| "launch done".to_owned(), of);
    let words = match alarm {
        Some(alarm) => format!("{action}, {}", of(alarm)),
        None => action,
    };
    labels::sentence_case(&words)
}

#[component]
pub(super) fn MachineRow(
    machine: Machine,
    /// When EC2 was asked, in UTC milliseconds.
    listed_at: i64,
    seq: i64,
    selection: Selection,
    /// Whether machines can be stopped here, and not only started.
    can_stop: bool,
    /// Whether all machines that match are selected.
    all_selected: bool,
) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let Machine { instance, action: page_action, alarm: page_alarm } = machine;
    let (id, listed) = (instance.id.clone(), instance.state.clone());
    let last_task = |kinds: &'static [&'static str], page: Option<Task>| {
        let id = id.clone();
        Memo::new(move |_| live.last_machine_task(kinds, &id, page.as_ref(), seq))
    };
    let action = last_task(&[Ec2Start::KIND, Ec2Stop::KIND], page_action);
    let last_alarm = last_task(&[AlarmCreate::KIND], page_alarm);
    // The alarm of an earlier start says nothing about the last one.
    let alarm = Memo::new(move |_| {
        let job = action.with(|action| action.as_ref().map(|action| action.job));
        last_alarm.get().filter(|alarm| job.is_none_or(|job| alarm.job == job))
    });
    let now = Memo::new(move |_| {
        action.with(|action| current_state(&listed, action.as_ref(), listed_at).to_owned())
    });
    let may = Memo::new(move |_| {
        let may = now.with(|now| MachineAction::for_state(now));
        may.filter(|action| can_stop || *action == MachineAction::Start)
    });
    let Selection { ticked, .. } = selection;
    let own = StoredValue::new(id.clone());
    let is_own = move |ticked: &str| own.with_value(|own| own == ticked);
    Effect::new(move |_| {
        let may = may.get();
        // What was selected to be started and runs now is no longer selected.
        let is_outdated =
            move |(id, action): &(String, MachineAction)| is_own(id) && Some(*action) != may;
        if ticked.with_untracked(|ticked| ticked.iter().any(is_outdated)) {
            ticked.update(|ticked| ticked.retain(|entry| !is_outdated(entry)));
        }
    });
    let is_ticked = move || {
        may.get().is_some()
            && (all_selected || ticked.with(|ticked| ticked.iter().any(|(id, _)| is_own(id))))
    };
    let last = move || {
        action.with(|action| {
            alarm.with(|alarm| {
                let job = action.as_ref().or(alarm.as_ref())?.job;
                let words = action_summary(action.as_ref(), alarm.as_ref());
                Some(view! { <a href=format!("/jobs/{job}")>{words}</a> })
            })
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
                    // The selection of all is cleared as a whole.
                    disabled=move || all_selected || may.get().is_none()
                    checked=all_selected && may.get_untracked().is_some()
                    prop:checked=is_ticked
                    on:change=move |event| {
                        let on = event_target_checked(&event).then(|| may.get_untracked()).flatten();
                        ticked
                            .update(|ticked| {
                                ticked.retain(|(id, _)| !is_own(id));
                                ticked.extend(on.map(|action| (own.get_value(), action)));
                            });
                    }
                />
                <strong>{label.clone()}</strong>
                <span class="state">{move || now.with(|now| labels::machine_state(now).to_owned())}</span>
            </label>
            <small>{description}</small>
            <small aria-live="polite">{last}</small>
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn task(kind: &str, state: &str, attempt: u32) -> Task {
        serde_json::from_value(serde_json::json!({
            "id": "00000000-0000-0000-0000-000000000000",
            "job": "00000000-0000-0000-0000-000000000000",
            "kind": kind, "key": "i-1", "row": 0, "title": "web", "sku": "i-1",
            "state": state, "attempt": attempt, "updated_at": 0,
        }))
        .unwrap()
    }

    #[test]
    fn state_follows_the_last_start_or_stop() {
        let (start, stop) = ("ec2.start", "ec2.stop");
        for (listed, kind, state, attempt, is_later, expected) in [
            ("stopped", start, "queued", 0, true, "stopped"),
            ("stopped", start, "running", 1, true, "pending"),
            ("pending", start, "succeeded", 1, false, "running"),
            ("stopped", start, "succeeded", 1, true, "running"),
            // Somebody has stopped it since.
            ("stopped", start, "succeeded", 1, false, "stopped"),
            ("stopped", start, "failed", 1, true, "stopped"),
            ("running", stop, "queued", 1, true, "stopping"),
            ("running", stop, "succeeded", 1, true, "stopped"),
            ("stopping", stop, "succeeded", 1, false, "stopped"),
            ("running", stop, "succeeded", 1, false, "running"),
            ("terminated", stop, "running", 1, true, "terminated"),
        ] {
            let task = task(kind, state, attempt);
            let listed_at = task.updated_at + i64::from(!is_later);
            let found = current_state(listed, Some(&task), listed_at);
            assert_eq!(found, expected, "{listed} {kind} {state} {is_later}");
        }
        assert_eq!(current_state("stopped", None, 0), "stopped");
    }

    #[test]
    fn summary_names_the_action_and_the_alarm() {
        let (start, stop) = (task("ec2.start", "succeeded", 1), task("ec2.stop", "succeeded", 1));
        let alarm = task("alarm.create", "queued", 0);
        assert_eq!(action_summary(Some(&start), Some(&alarm)), "Start done, alarm waiting");
        assert_eq!(action_summary(Some(&stop), None), "Stop done");
        assert_eq!(action_summary(None, Some(&alarm)), "Launch done, alarm waiting");
    }
}
