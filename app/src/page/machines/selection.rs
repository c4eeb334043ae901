//! What the form of the machines selects: ticked machines, and ids that were pasted.

use crate::labels;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A submitted form that started nothing, for the page that responds to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubmittedMachines {
    pub idempotency_key: String,
    /// The ids that were ticked or pasted, as they were sent.
    pub ids: String,
    /// Ids that are not among the account's machines, if that is why nothing was started.
    pub unknown: Vec<String>,
    pub problem: Option<String>,
}

/// What is selected to be started. It stays when the list is loaded again.
#[derive(Clone, Copy, Default)]
pub(super) struct Selection {
    /// Ids of the ticked machines.
    pub ticked: RwSignal<Vec<String>>,
    /// Text of the field for further ids.
    pub pasted: RwSignal<String>,
}

impl Selection {
    /// Returns the label of the button. How many ids were pasted is only known once they
    /// are checked.
    pub fn button_label(self) -> String {
        let count = self.ticked.with(Vec::len);
        match count {
            1.. if self.pasted.with(|pasted| pasted.trim().is_empty()) => {
                format!("Start {}", labels::count_noun(count as u64, "machine"))
            }
            _ => "Start machines".into(),
        }
    }
}

/// Field for ids that are pasted instead of ticked.
pub(super) fn pasted_ids_field(selection: Selection) -> AnyView {
    view! {
        <label>
            "Or paste ids, separated by commas, spaces or new lines"
            <textarea
                name="ids"
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

/// Returns why the submitted form started nothing: a problem, or a question whose buttons
/// send it again.
pub(super) fn submitted_notice(form: SubmittedMachines, selection: Selection) -> AnyView {
    if selection.pasted.with_untracked(String::is_empty) {
        selection.pasted.set(form.ids);
    }
    if let Some(words) = form.problem {
        return view! { <p class="problem" role="alert" data-testid="problem">{words}</p> }
            .into_any();
    }
    let UnknownMachines { question, start, leave_out } = UnknownMachines::new(&form.unknown);
    view! {
        <div class="warning" role="alert" data-testid="unknown-machines">
            <p>{question}</p>
            <p class="buttons">
                <button name="unknown" value="start">
                    {start}
                </button>
                <button name="unknown" value="leave_out">
                    {leave_out}
                </button>
            </p>
        </div>
    }
    .into_any()
}

/// Maximum number of unknown machines that the question names.
const MAX_NAMED_MACHINES: usize = 10;

/// Texts of the question about ids that are not among the account's machines.
#[derive(Debug, PartialEq, Eq)]
struct UnknownMachines {
    question: String,
    /// Button that starts them all the same.
    start: &'static str,
    leave_out: &'static str,
}

impl UnknownMachines {
    fn new(ids: &[String]) -> Self {
        let (named, rest) = ids.split_at(ids.len().min(MAX_NAMED_MACHINES));
        let rest = match rest.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = format!("{}{rest}", named.join(", "));
        if ids.len() == 1 {
            return Self {
                question: format!(
                    "{named} is not among the machines of this account. Start it anyway?"
                ),
                start: "Start it anyway",
                leave_out: "Leave it out",
            };
        }
        Self {
            question: format!(
                "{named} are not among the machines of this account. Start them anyway?"
            ),
            start: "Start them anyway",
            leave_out: "Leave them out",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_machines_are_named_and_asked_about() {
        let ids = |count: u32| (0..count).map(|n| format!("i-{n:08x}")).collect::<Vec<_>>();
        let one = UnknownMachines::new(&ids(1));
        let words = "i-00000000 is not among the machines of this account. Start it anyway?";
        assert_eq!((one.question.as_str(), one.leave_out), (words, "Leave it out"));
        let two = UnknownMachines::new(&ids(2)).question;
        assert!(two.starts_with("i-00000000, i-00000001 are not among the machines"), "{two}");
        let many = UnknownMachines::new(&ids(12)).question;
        assert!(many.contains("i-00000009 and 2 more are not among"), "{many}");
    }
}
