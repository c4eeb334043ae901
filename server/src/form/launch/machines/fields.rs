//! Fields of the forms of the machines.

use app::page::machines::NewMachines;
use contract::api::MachineAction;

/// What a form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedAction {
    /// Something with machines that exist.
    OfMachines(MachineAction),
    /// New machines.
    Launch,
}

/// Fields of a form as they were sent. Empty ones count as absent.
pub(super) struct MachineFields(Vec<(String, String)>);

impl MachineFields {
    pub fn new(mut pairs: Vec<(String, String)>) -> Self {
        pairs.retain(|(_, value)| !value.is_empty());
        Self(pairs)
    }

    fn values<'a>(&'a self, wanted: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let matching = self.0.iter().filter(move |(name, _)| name == wanted);
        matching.map(|(_, value)| value.as_str())
    }

    fn value(&self, wanted: &'static str) -> Option<&str> {
        self.values(wanted).next()
    }

    /// Returns what is asked for: a start, if the form doesn't say.
    pub fn action(&self) -> RequestedAction {
        match self.value("action") {
            Some("launch") => RequestedAction::Launch,
            Some("stop") => RequestedAction::OfMachines(MachineAction::Stop),
            _ => RequestedAction::OfMachines(MachineAction::Start),
        }
    }

    /// Returns the idempotency key.
    pub fn key(&self) -> Option<&str> {
        self.value("key")
    }

    /// Returns the ids of ticked machines; a text may have several.
    pub fn ticked(&self) -> impl Iterator<Item = &str> {
        self.values("ids")
    }

    /// Returns texts with further ids.
    pub fn pasted(&self) -> impl Iterator<Item = &str> {
        self.values("pasted")
    }

    /// Returns all ids as one text, as they were sent.
    pub fn ids(&self) -> String {
        self.ticked().chain(self.pasted()).collect::<Vec<_>>().join("\n")
    }

    /// Whether the form names machines.
    pub fn has_ids(&self) -> bool {
        self.ticked().chain(self.pasted()).next().is_some()
    }

    /// Returns the number on the button of an action, if all machines that match are selected.
    pub fn expected(&self, action: MachineAction) -> Option<usize> {
        let name = match action {
            MachineAction::Start => "can_start",
            MachineAction::Stop => "can_stop",
        };
        self.value(name)?.parse().ok()
    }

    /// Whether the person has confirmed what interrupts people.
    pub fn is_confirmed(&self) -> bool {
        self.value("confirmed").is_some()
    }

    /// Whether ids that no account has are used all the same. A confirmed question has been asked
    /// about them.
    pub fn includes_unknown(&self) -> bool {
        self.is_confirmed() || self.value("unknown") == Some("include")
    }

    /// Whether ids that no account has are left out.
    pub fn leaves_out_unknown(&self) -> bool {
        self.value("unknown") == Some("leave_out")
    }

    /// Returns what new machines are asked for.
    pub fn new_machines(&self) -> NewMachines {
        let text = |name| self.value(name).unwrap_or_default().to_owned();
        NewMachines {
            template: text("template"),
            version: text("version"),
            count: text("count"),
            name: text("name"),
        }
    }
}
