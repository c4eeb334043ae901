//! What the page says in response to a form that accepted nothing: a problem, or a question whose
//! buttons send it again.

use super::new_machines::NewMachines;
use serde::{Deserialize, Serialize};
#[cfg(feature = "ssr")]
use {super::MachineListFilter, leptos::prelude::*};

/// Maximum length of the ids that *Cancel* keeps, in bytes. Proxies accept URLs of some 4 kB.
#[cfg(feature = "ssr")]
const MAX_URL_IDS: usize = 2_000;

/// A submitted form that accepted nothing, for the page that responds to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubmittedMachines {
    pub idempotency_key: String,
    /// The ids that were ticked or pasted, for the field of ids.
    pub ids: String,
    pub problem: Option<String>,
    pub question: Option<Question>,
    /// What was asked for, if new machines were to be launched.
    pub new_machines: Option<NewMachines>,
}

/// Question about certain machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    pub title: String,
    pub detail: String,
    /// Name of the action that the question is about.
    pub action: String,
    /// The ids that the buttons send again.
    pub ids: String,
    /// Name, value and label of each button; the first one does what was asked for.
    pub buttons: Vec<(String, String, String)>,
    /// Whether the question is asked because an action interrupts people.
    pub is_warning: bool,
}

/// Renders the question. Its form sends the ids themselves: what is done is what was asked about,
/// whatever matches the filter then.
#[cfg(feature = "ssr")]
pub(super) fn panel(question: Question, key: &str, filter: &MachineListFilter) -> AnyView {
    let class = if question.is_warning { "danger" } else { "primary" };
    let button = |(at, (name, value, label)): (usize, (String, String, String))| {
        let class = (at == 0).then_some(class);
        view! { <button class=class name=name value=value>{label}</button> }
    };
    let buttons = question.buttons.into_iter().enumerate().map(button).collect_view();
    let listed = MachineListFilter { select: None, ..filter.clone() };
    let ids = &question.ids;
    let pasted = (!filter.selects_all() && ids.len() <= MAX_URL_IDS).then(|| ids.clone());
    let cancel = MachineListFilter { pasted, ..filter.clone() }.url("/machines");
    view! {
        <section class="panel machine-question" aria-labelledby="question" data-testid="machine-question">
            <h2 id="question" tabindex="-1" autofocus>{question.title}</h2>
            <p>{question.detail}</p>
            <form method="post" action=listed.url("/launch/machines") class="buttons">
                <input type="hidden" name="key" value=key.to_owned()/>
                <input type="hidden" name="pasted" value=question.ids/>
                <input type="hidden" name="action" value=question.action/>
                {buttons}
                <a class="button" href=cancel>"Cancel"</a>
            </form>
        </section>
    }
    .into_any()
}
