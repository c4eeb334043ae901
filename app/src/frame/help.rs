//! `?`: the keys, and what the states mean. Beside every page that has scripts,
//! and made on the server alone.

use leptos::prelude::*;

const KEYS: [(&str, &str); 8] = [
    ("/", "Find a SKU or a job"),
    ("g l", "Go to Launch"),
    ("g j", "Go to Jobs"),
    ("g m", "Go to Machines"),
    ("g i", "Go to the inbox"),
    ("Enter", "Open an item"),
    ("Escape", "Close an item, a menu or the newest notice"),
    ("?", "Show this"),
];

/// Sign, state and meaning, as `words` spells them.
const STATES: [(&str, &str, &str); 10] = [
    ("·", "waiting", "Queued; nothing was sent yet."),
    ("·", "waiting its turn", "Ready, and held back to the pace that the service allows."),
    ("·", "paused by the service", "It answered 429 or 503; nobody calls it before that time."),
    ("·", "will be retried", "A try failed; the next one comes by itself."),
    ("·", "sent, no answer, checking", "It may have been done. The service is asked first."),
    ("▸", "running", "A call is under way."),
    ("✓", "done", "The service confirmed it."),
    ("✕", "failed", "Tried for the last time or refused; kept with every attempt."),
    ("–", "cancelled", "Never sent, or replaced by a newer one about the same thing."),
    ("?", "needs you", "Nobody can tell whether it was done: say done, or again."),
];

pub fn help() -> AnyView {
    let keys = KEYS
        .into_iter()
        .map(|(keys, what)| {
            let keys = keys.split(' ').map(|key| view! { <kbd>{key}</kbd> " " }).collect_view();
            view! { <dt>{keys}</dt> <dd>{what}</dd> }
        })
        .collect_view();
    let states = STATES
        .into_iter()
        .map(|(sign, state, means)| {
            view! {
                <dt><span class="sign" aria-hidden="true">{sign}</span> {state}</dt>
                <dd>{means}</dd>
            }
        })
        .collect_view();
    view! {
        <div class="help" id="help" popover="auto" role="dialog" aria-labelledby="help-title">
            <h2 id="help-title" tabindex="-1" autofocus>"Keyboard and states"</h2>
            <button class="quiet close" popovertarget="help" popovertargetaction="hide">
                "Close"
            </button>
            <div class="pair">
                <section>
                    <h3>"Keyboard"</h3>
                    <dl>{keys}</dl>
                    <label class="choice">
                        <input
                            type="checkbox"
                            id="keys-off"/>
                        <span>"Turn these keys off in this browser"</span>
                    </label>
                </section>
                <section>
                    <h3>"States of an item"</h3>
                    <dl class="states">{states}</dl>
                    <p>
                        <small>
                            "A job that is cancelling is not cancelled yet: calls under way still finish, and are told truthfully."
                        </small>
                    </p>
                </section>
            </div>
        </div>
    }
    .into_any()
}
