//! Filter of the list of machines.

use contract::api::{Instance, MachineAction};

/// Which machines are listed. An empty text, as an empty field of a form sends it, is the same as
/// none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFilter {
    /// Account, as the configuration names it.
    pub account: Option<String>,
    /// Region, such as `eu-central-1`.
    pub region: Option<String>,
    /// EC2's name of the state.
    pub state: Option<String>,
    /// Part of the name or of the id, regardless of case.
    pub search_text: Option<String>,
}

/// Machines that match a filter, and the numbers by which people see what the filter does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredMachines<'a> {
    /// Machines that match, in the order of the list.
    pub matching: Vec<&'a Instance>,
    /// Number of machines in each state that occurs, of those that match the other parts of the
    /// filter, in the order of a machine's life.
    pub states: Vec<(&'a str, usize)>,
}

/// EC2's states in the order of a machine's life.
const STATES: [&str; 6] =
    ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"];

impl MachineFilter {
    /// Returns the machines that match.
    pub fn apply<'a>(&self, machines: &'a [Instance]) -> FilteredMachines<'a> {
        let search_text = self.search_text.as_deref().unwrap_or_default().trim().to_lowercase();
        let mut matching: Vec<_> = machines
            .iter()
            .filter(|machine| {
                is_wanted(self.account.as_deref(), &machine.account)
                    && is_wanted(self.region.as_deref(), &machine.region)
                    && (search_text.is_empty()
                        || machine.name.to_lowercase().contains(&search_text)
                        || machine.id.contains(&search_text))
            })
            .collect();
        let mut states: Vec<(&str, usize)> = Vec::new();
        for machine in &matching {
            match states.iter_mut().find(|(state, _)| *state == machine.state) {
                Some((_, count)) => *count += 1,
                None => states.push((&machine.state, 1)),
            }
        }
        // A state that nobody knows comes last.
        states.sort_by_key(|(state, _)| {
            STATES.iter().position(|known| known == state).map_or(STATES.len(), |at| at)
        });
        matching.retain(|machine| is_wanted(self.state.as_deref(), &machine.state));
        FilteredMachines { matching, states }
    }
}

impl FilteredMachines<'_> {
    /// Returns the ids of the machines that match and that `action` can be done with.
    pub fn ids_for(&self, action: MachineAction) -> Vec<String> {
        let can =
            self.matching.iter().filter(|it| MachineAction::for_state(&it.state) == Some(action));
        can.map(|machine| machine.id.clone()).collect()
    }

    /// Returns the number of machines that match and that `action` can be done with.
    pub fn count_for(&self, action: MachineAction) -> usize {
        let can =
            self.matching.iter().filter(|it| MachineAction::for_state(&it.state) == Some(action));
        can.count()
    }
}

fn is_wanted(wanted: Option<&str>, actual: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.is_empty() || wanted == actual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str, name: &str, state: &str, account: &str, region: &str) -> Instance {
        Instance {
            id: id.into(),
            name: name.into(),
            state: state.into(),
            instance_type: "t3.small".into(),
            zone: format!("{region}a"),
            account: account.into(),
            region: region.into(),
        }
    }

    fn fleet() -> [Instance; 5] {
        [
            machine("i-0a", "Web-1", "stopped", "ops", "eu"),
            machine("i-0b", "web-2", "running", "ops", "eu"),
            machine("i-0c", "batch", "stopped", "ops", "us"),
            machine("i-0d", "", "hibernated", "shop", "eu"),
            machine("i-0e", "web-3", "pending", "shop", "us"),
        ]
    }

    fn ids(filter: &MachineFilter) -> String {
        let fleet = fleet();
        let found = filter.apply(&fleet).matching;
        found.iter().map(|machine| machine.id.trim_start_matches("i-0")).collect()
    }

    #[test]
    fn each_part_of_the_filter_narrows_the_list() {
        let some = |text: &str| Some(text.to_owned());
        let all = MachineFilter::default();
        for (filter, expected) in [
            (all.clone(), "abcde"),
            (MachineFilter { account: some("ops"), ..all.clone() }, "abc"),
            (MachineFilter { region: some("us"), ..all.clone() }, "ce"),
            (MachineFilter { state: some("stopped"), ..all.clone() }, "ac"),
            (MachineFilter { search_text: some(" WEB "), ..all.clone() }, "abe"),
            (MachineFilter { search_text: some("I-0D"), ..all.clone() }, "d"),
            (MachineFilter { search_text: some("web"), account: some("shop"), ..all.clone() }, "e"),
            (MachineFilter { state: some("terminated"), ..all.clone() }, ""),
            // As the empty fields of a form send it.
            (
                MachineFilter {
                    account: some(""),
                    region: some(""),
                    state: some(""),
                    search_text: some(" "),
                },
                "abcde",
            ),
        ] {
            assert_eq!(ids(&filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn states_are_counted_among_all_that_match_the_rest() {
        let fleet = fleet();
        let filter = MachineFilter { state: Some("running".into()), ..MachineFilter::default() };
        let filtered = filter.apply(&fleet);
        assert_eq!(
            filtered.states,
            [("pending", 1), ("running", 1), ("stopped", 2), ("hibernated", 1)]
        );
        assert_eq!(filtered.ids_for(MachineAction::Stop), ["i-0b"]);
        assert_eq!(filtered.count_for(MachineAction::Start), 0, "the stopped ones don't match");
        let all = MachineFilter::default().apply(&fleet);
        assert_eq!(all.ids_for(MachineAction::Start), ["i-0a", "i-0c"]);
        assert_eq!(all.count_for(MachineAction::Start), 2);
    }
}
