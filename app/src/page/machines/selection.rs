//! What the form of the machines selects: ticked machines, ids that were pasted, or all machines
//! that match the filter.

use super::{MachineListFilter, list::MachineList};
use crate::labels;
use contract::api::MachineAction;
use leptos::prelude::*;

/// What is selected. It stays when another page or filter is shown.
#[derive(Clone, Copy, Default)]
pub(super) struct Selection {
    /// Ids of the ticked machines, with what can be done with each.
    pub ticked: RwSignal<Vec<(String, MachineAction)>>,
    /// Text of the field for further ids.
    pub pasted: RwSignal<String>,
}

impl Selection {
    /// Returns the number of ticked machines that `action` can be done with; `None` if it isn't
    /// known, because nothing is ticked, or ids were pasted that are checked later.
    fn count(self, action: MachineAction) -> Option<usize> {
        let is_known = self.pasted.with(|pasted| pasted.trim().is_empty());
        self.ticked.with(|ticked| {
            let can = ticked.iter().filter(|(_, can)| *can == action);
            (is_known && !ticked.is_empty()).then(|| can.count())
        })
    }
}

fn button_label(action: MachineAction, count: Option<usize>) -> String {
    let verb = if action == MachineAction::Start { "Start" } else { "Stop" };
    match count {
        Some(count) => format!("{verb} {}", labels::count_noun(count as u64, "machine")),
        None => format!("{verb} machines"),
    }
}

/// Renders the fields that say what is selected, and the buttons. The machines of an account that
/// is listed on another page can only be started there.
pub(super) fn selected_fields(
    selection: Selection,
    list: &MachineList,
    filter: Option<&MachineListFilter>,
) -> AnyView {
    let all = filter.filter(|filter| filter.selects_all());
    let fields = match all {
        Some(_) => view! {
            // Another number than the button's is asked about.
            <input type="hidden" name="can_start" value=list.can_start/>
            <input type="hidden" name="can_stop" value=list.can_stop/>
        }
        .into_any(),
        None => {
            // Machines may be ticked that are not on this page.
            let ticked = move || {
                selection.ticked.with(|ticked| {
                    ticked.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(",")
                })
            };
            view! {
                <input type="hidden" name="ids" prop:value=ticked/>
                {pasted_ids_field(selection)}
            }
            .into_any()
        }
    };
    let button = |action: MachineAction, of_all: u32| {
        let is_all = all.is_some();
        if is_all && of_all == 0 {
            return ().into_any();
        }
        let count = move || match is_all {
            true => Some(of_all as usize),
            false => selection.count(action),
        };
        let class = (action == MachineAction::Start).then_some("primary");
        view! {
            <button
                class=class
                name="action"
                value=action.as_str()
                disabled=move || count() == Some(0)
            >
                {move || button_label(action, count())}
            </button>
        }
        .into_any()
    };
    let start = button(MachineAction::Start, list.can_start);
    let stop = filter.is_some().then(|| button(MachineAction::Stop, list.can_stop));
    view! {
        {fields}
        <p class="buttons machine-actions">{start} {stop}</p>
    }
    .into_any()
}

/// Field for ids that are pasted instead of ticked.
fn pasted_ids_field(selection: Selection) -> AnyView {
    view! {
        <label>
            "Or paste ids, separated by commas, spaces or new lines"
            <textarea
                name="pasted"
                rows="2"
                spellcheck="false"
                on:input=move |event| selection.pasted.set(event_target_value(&event))
            >
                {selection.pasted.get_untracked()}
            </textarea>
        </label>
    }
    .into_any()
}
