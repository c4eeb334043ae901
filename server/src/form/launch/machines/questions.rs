//! Questions about machines, in words.

use app::{labels, page::machines::Question};
use contract::api::MachineAction;

/// Maximum number of machines that a question names.
const MAX_NAMED_MACHINES: usize = 10;

fn verb(action: MachineAction) -> &'static str {
    match action {
        MachineAction::Start => "Start",
        MachineAction::Stop => "Stop",
    }
}

/// Returns the names, such as `a, b and 12 more`.
fn enumerate(names: &[String]) -> String {
    let (named, rest) = names.split_at(names.len().min(MAX_NAMED_MACHINES));
    let mut named = named.to_vec();
    if !rest.is_empty() {
        named.push(format!("{} more", labels::group_thousands(rest.len() as u64)));
    }
    labels::enumerate(&named)
}

fn button(name: &str, value: &str, label: impl Into<String>) -> (String, String, String) {
    (name.into(), value.into(), label.into())
}

/// Asks whether machines are really to be stopped. `left_out` is the number of those that were
/// selected, too, and don't run.
pub(super) fn confirm_stop(names: &[String], ids: &[String], left_out: usize) -> Question {
    let machines = labels::count_noun(names.len() as u64, "machine");
    let (title, detail) = match names {
        [only] => {
            let detail = "Stopping it interrupts everyone and everything that uses it.";
            (format!("Stop {only}?"), detail.to_owned())
        }
        _ => {
            let named = enumerate(names);
            let detail = format!(
                "Stopping them interrupts everyone and everything that uses them: {named}."
            );
            (format!("Stop {machines}?"), detail)
        }
    };
    let rest = match left_out {
        0 => String::new(),
        1 => " Another one that you selected is not running, and is left out.".to_owned(),
        count => {
            let count = labels::group_thousands(count as u64);
            format!(" {count} others that you selected are not running, and are left out.")
        }
    };
    Question {
        title,
        detail: detail + &rest,
        action: MachineAction::Stop.to_string(),
        ids: ids.join(" "),
        buttons: vec![button("confirmed", "yes", format!("Stop {machines}"))],
        is_warning: true,
    }
}

/// Asks whether to start another number of machines than the button said.
pub(super) fn changed_number(names: &[String], ids: &[String]) -> Question {
    let machines = labels::count_noun(names.len() as u64, "machine");
    Question {
        title: format!("Start {machines}?"),
        detail: format!(
            "The machines have changed since you selected them. Now these can start: {}.",
            enumerate(names)
        ),
        action: MachineAction::Start.to_string(),
        ids: ids.join(" "),
        buttons: vec![button("confirmed", "yes", format!("Start {machines}"))],
        is_warning: false,
    }
}

/// Asks about ids that are not among the machines of the accounts. They can be left out if there
/// are others.
pub(super) fn unknown_machines(
    action: MachineAction,
    unknown: &[String],
    has_others: bool,
    ids: String,
) -> Question {
    let (verb, named) = (verb(action), enumerate(unknown));
    let (are, them) = if unknown.len() == 1 { ("is", "it") } else { ("are", "them") };
    let lists = "among the machines of the configured accounts";
    let mut buttons = vec![button("unknown", "include", format!("{verb} {them} anyway"))];
    if has_others {
        buttons.push(button("unknown", "leave_out", format!("Leave {them} out")));
    }
    Question {
        title: format!("{verb} {them} anyway?"),
        detail: format!("{named} {are} not {lists}."),
        action: action.to_string(),
        ids,
        buttons,
        is_warning: false,
    }
}

/// Says that the action can be done with none of the selected machines.
pub(super) fn nothing_can(action: MachineAction) -> String {
    let (verb, state) = match action {
        MachineAction::Start => ("start", "stopped"),
        MachineAction::Stop => ("stop", "running"),
    };
    format!("None of the selected machines is {state}, so none can {verb}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u32) -> Vec<String> {
        (0..count).map(|n| format!("i-{n:08x}")).collect()
    }

    #[test]
    fn unknown_machines_are_named_and_asked_about() {
        let one = unknown_machines(MachineAction::Start, &ids(1), true, "i-00000000".into());
        let words = "i-00000000 is not among the machines of the configured accounts.";
        assert_eq!((one.title.as_str(), one.detail.as_str()), ("Start it anyway?", words));
        assert_eq!(one.buttons[1].2, "Leave it out");
        let two = unknown_machines(MachineAction::Stop, &ids(2), false, String::new());
        assert_eq!(two.buttons.len(), 1, "nothing would be left");
        assert_eq!(two.title, "Stop them anyway?");
        assert!(two.detail.starts_with("i-00000000 and i-00000001 are not among"), "{two:?}");
        let many = unknown_machines(MachineAction::Start, &ids(12), true, String::new()).detail;
        assert!(many.contains("i-00000009 and 2 more are not among"), "{many}");
    }

    #[test]
    fn a_stop_says_the_number_and_whom_it_interrupts() {
        let one = confirm_stop(&["web-1".to_owned()], &ids(1), 0);
        assert_eq!(one.title, "Stop web-1?");
        assert_eq!(one.buttons[0].2, "Stop 1 machine");
        assert!(one.detail.ends_with("uses it."), "{}", one.detail);
        let rest = confirm_stop(&["web-1".to_owned()], &ids(1), 1).detail;
        assert!(
            rest.ends_with(
                "uses it. Another one that you selected is not running, and is left out."
            )
        );
        let many = confirm_stop(&ids(1_148), &ids(1_148), 0);
        assert_eq!(many.title, "Stop 1,148 machines?");
        assert!(many.detail.ends_with("i-00000009 and 1,138 more."), "{}", many.detail);
        assert_eq!(many.ids.split(' ').count(), 1_148, "the form sends what it asked about");
        assert!(many.is_warning);
    }
}
