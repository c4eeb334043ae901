//! Help dialog with the keyboard shortcuts and the meaning of the states. It is on every page
//! that has scripts, and is rendered on the server only.

use leptos::prelude::*;

const KEYS: [(&str, &str); 10] = [
    ("/", "Find a SKU or a job"),
    ("g l", "Go to Launch"),
    ("g j", "Go to Jobs"),
    ("g m", "Go to Machines"),
    ("g c", "Go to Channels"),
    ("g f", "Go to Flows"),
    ("g i", "Go to the inbox"),
    ("Enter", "Open an item"),
    ("Escape", "Close an item, a menu or the newest notification"),
    ("?", "Show this help"),
];

/// Icon, state and meaning. The states are spelled as in [`crate::labels`].
const STATE_MEANINGS: [(&str, &str, &str); 15] = [
    ("·", "waiting", "Queued; nothing has been sent yet."),
    ("·", "waiting its turn", "Ready, and waiting for the service's rate limit."),
    ("·", "paused by the service", "It answered 429 or 503; no calls are made until that time."),
    ("·", "paused by an admin", "Nothing is sent to this channel until that time, for anybody."),
    ("·", "will be retried", "An attempt failed; the next one starts automatically."),
    (
        "·",
        "sent, no answer, checking",
        "The call may have succeeded. The service is asked before it is repeated.",
    ),
    ("▸", "running", "A call is in progress."),
    ("✓", "created", "The channel did not have the product, and has it now."),
    ("✓", "updated", "The channel had the product, and has the new content now."),
    ("✓", "unchanged", "The channel had the same content already; nothing was changed."),
    ("✓", "done", "The service confirmed it."),
    ("✕", "failed", "The last attempt failed. Every attempt is listed; a retry may succeed."),
    ("!", "rejected", "The service rejected the content. Correct it and upload it again."),
    (
        "–",
        "cancelled",
        "It had no effect: the job was cancelled, or a newer item about the same thing succeeded.",
    ),
    ("?", "needs you", "The result is unknown. Say whether it is done, or do it again."),
];

pub fn help_dialog() -> AnyView {
    let keys = KEYS
        .into_iter()
        .map(|(keys, what)| {
            let keys = keys.split(' ').map(|key| view! { <kbd>{key}</kbd> " " }).collect_view();
            view! { <dt>{keys}</dt> <dd>{what}</dd> }
        })
        .collect_view();
    let states = STATE_MEANINGS
        .into_iter()
        .map(|(sign, state, means)| {
            view! {
                <dt><span class="state-icon" aria-hidden="true">{sign}</span> {state}</dt>
                <dd>{means}</dd>
            }
        })
        .collect_view();
    view! {
        <div class="help" id="help" popover="auto" role="dialog" aria-labelledby="help-title">
            <h2 id="help-title" tabindex="-1" autofocus>"Keyboard and states"</h2>
            <button class="subtle close" popovertarget="help" popovertargetaction="hide">
                "Close"
            </button>
            <div class="two-columns">
                <section>
                    <h3>"Keyboard"</h3>
                    <dl>{keys}</dl>
                    <label class="checkbox-label">
                        <input
                            type="checkbox"
                            id="shortcuts-off"/>
                        <span>"Turn these keys off in this browser"</span>
                    </label>
                </section>
                <section>
                    <h3>"States of an item"</h3>
                    <dl class="states">{states}</dl>
                    <p>
                        <small>
                            "A job that is cancelling is not cancelled yet: calls in progress still finish, and their results are shown."
                        </small>
                    </p>
                </section>
            </div>
        </div>
    }
    .into_any()
}
