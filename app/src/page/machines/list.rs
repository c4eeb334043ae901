//! The machines that a page lists, with the words and links around them, which the server makes.

#[cfg(feature = "ssr")]
mod links;

use contract::api::{Instance, Task};
use serde::{Deserialize, Serialize};

/// Machine together with the user's last start or stop of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub instance: Instance,
    pub action: Option<Task>,
    /// Task of the alarm, if it belongs to the last start, or to the machine's launch.
    pub alarm: Option<Task>,
}

/// One page of the machines that match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MachineList {
    pub machines: Vec<Machine>,
    /// When EC2 was asked, in UTC milliseconds.
    pub listed_at: i64,
    /// Number of machines that match, also on other pages, such as `12 of 300 machines`.
    pub summary: String,
    /// The summary, what can be done, and the link that selects all, as HTML.
    pub summary_line: String,
    /// Number of machines that match and can start.
    pub can_start: u32,
    /// Number of machines that match and can stop.
    pub can_stop: u32,
    /// Link of each state with its number, as HTML.
    pub states: String,
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
    /// Links to the other pages, as HTML.
    pub pages: String,
    /// What alarm a machine gets.
    pub alarm: String,
    /// Whether new machines can be launched.
    pub can_launch: bool,
}

#[cfg(feature = "ssr")]
pub(super) use load::load_list;

#[cfg(feature = "ssr")]
mod load {
    use super::{Machine, MachineList, links};
    use crate::{labels, page::machines::MachineListFilter};
    use contract::{
        UserId,
        api::{Instance, MachineAction, Task},
        command::{AlarmCreate, Command, Ec2Start, Ec2Stop},
    };
    use engine::{
        Engine,
        clock::whole_millis,
        machines::{Listing, MachineCache, MachineFilter, MachineLocation},
        store,
    };
    use std::collections::BTreeSet;

    /// Returns the page of the machines that match, with at most `limit` of them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn load_list(
        engine: &Engine,
        user: UserId,
        listing: &Listing<Instance>,
        filter: &MachineListFilter,
        limit: usize,
    ) -> Result<MachineList, store::Error> {
        let instances = &*listing.items;
        let listed_at = engine.store().database.now_ms() - whole_millis(listing.age());
        let filtered = MachineFilter::from(filter).apply(instances);
        let (matching, total) = (filtered.matching.len(), instances.len());
        let last_page = matching.div_ceil(limit).max(1);
        let page = filter.page.as_deref().and_then(|page| page.parse().ok()).unwrap_or(1);
        let page: usize = page.clamp(1, last_page);
        let first = (page - 1) * limit;
        let on_page: Vec<_> = filtered.matching.iter().skip(first).take(limit).copied().collect();
        let ids: Vec<_> = on_page.iter().map(|instance| instance.id.as_str()).collect();
        let mut tasks = engine.store().jobs.last_machine_tasks(user, &ids).await?;
        engine.explain_pauses(tasks.iter_mut()).await?;
        let [can_start, can_stop] =
            [MachineAction::Start, MachineAction::Stop].map(|action| filtered.count_for(action));
        let of_all = filtered.states.iter().map(|(_, count)| count).sum();
        let states = filtered.states.iter().map(|(state, count)| {
            let label = labels::sentence_case(labels::machine_state(state));
            ((*state).to_owned(), count_label(&label, *count))
        });
        // Also those whose machines could not be listed now.
        let locations = engine.machines().locations();
        let texts = |read: fn(&MachineLocation) -> &String| {
            let texts: BTreeSet<_> =
                locations.iter().map(read).filter(|it| !it.is_empty()).collect();
            texts.into_iter().cloned().collect::<Vec<_>>()
        };
        let states: Vec<_> =
            std::iter::once((String::new(), count_label("All", of_all))).chain(states).collect();
        let part = (last_page > 1).then(|| {
            let group = |number: usize| labels::group_thousands(number as u64);
            let last = first + on_page.len();
            format!("Machines {} to {} of {}", group(first + 1), group(last), group(matching))
        });
        let summary = summary(matching, total);
        let possible = possible(matching, can_start, can_stop);
        Ok(MachineList {
            machines: on_page.iter().map(|instance| with_tasks(instance, &tasks)).collect(),
            summary_line: links::select_all(&summary, &possible, listed_at, matching, filter),
            listed_at,
            summary,
            can_start: whole(can_start),
            can_stop: whole(can_stop),
            states: links::states(&states, filter),
            accounts: texts(|location| &location.account),
            regions: texts(|location| &location.region),
            pages: part.map(|part| links::pages(part, page, last_page, filter)).unwrap_or_default(),
            alarm: describe_alarms(&engine.machines().alarms()),
            can_launch: can_launch(engine.machines()),
        })
    }

    /// Whether an account may have launch templates; the sandbox has none.
    fn can_launch(machines: &MachineCache) -> bool {
        machines.locations().iter().any(|location| *location != MachineLocation::default())
    }

    fn whole(count: usize) -> u32 {
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn count_label(label: &str, count: usize) -> String {
        format!("{label} {}", labels::group_thousands(count as u64))
    }

    fn summary(matching: usize, total: usize) -> String {
        let all = labels::count_noun(total as u64, "machine");
        match matching == total {
            true => all,
            false => format!("{} of {all}", labels::group_thousands(matching as u64)),
        }
    }

    fn possible(matching: usize, can_start: usize, can_stop: usize) -> String {
        let neither = matching.saturating_sub(can_start + can_stop);
        let parts = [(can_start, "can start"), (can_stop, "can stop"), (neither, "can do neither")];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts
            .map(|(count, words)| format!("{} {words}", labels::group_thousands(count as u64)))
            .collect();
        parts.join(", ")
    }

    fn with_tasks(instance: &Instance, tasks: &[Task]) -> Machine {
        let about = |kinds: &[&str]| {
            let found = tasks
                .iter()
                .filter(|task| task.sku == instance.id && kinds.contains(&task.kind.as_str()));
            found.max_by_key(|task| task.job).cloned()
        };
        Machine {
            instance: instance.clone(),
            action: about(&[Ec2Start::KIND, Ec2Stop::KIND]),
            alarm: about(&[AlarmCreate::KIND]),
        }
    }

    /// Says which alarm a machine gets, by account if they differ.
    fn describe_alarms(alarms: &[(&MachineLocation, &str)]) -> String {
        const WHEN: &str = "Each machine gets an alarm once it is running";
        let distinct: BTreeSet<_> = alarms.iter().map(|(_, alarm)| *alarm).collect();
        match distinct.iter().collect::<Vec<_>>().as_slice() {
            [] => format!("{WHEN}."),
            [only] => format!("{WHEN}: {only}."),
            _ => {
                let by_account: BTreeSet<_> = alarms
                    .iter()
                    .map(|(location, alarm)| format!("in {} {alarm}", location.account))
                    .collect();
                let by_account: Vec<_> = by_account.into_iter().collect();
                format!("{WHEN}: {}.", by_account.join("; "))
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn words_say_how_many_match_and_what_they_can_do() {
            assert_eq!(summary(3_000, 3_000), "3,000 machines");
            assert_eq!(summary(12, 300), "12 of 300 machines");
            assert_eq!(summary(1, 1), "1 machine");
            assert_eq!(possible(163, 148, 12), "148 can start, 12 can stop, 3 can do neither");
            assert_eq!(possible(5, 5, 0), "5 can start");
            assert_eq!(possible(0, 0, 0), "");
        }

        #[test]
        fn alarms_are_said_once_or_by_account() {
            let at = |account: &str, region: &str| MachineLocation {
                account: account.into(),
                region: region.into(),
            };
            let (ops, ops_us, shop) = (at("ops", "eu"), at("ops", "us"), at("shop", "eu"));
            let when = "Each machine gets an alarm once it is running";
            assert_eq!(describe_alarms(&[]), format!("{when}."));
            assert_eq!(describe_alarms(&[(&ops, "“a”"), (&shop, "“a”")]), format!("{when}: “a”."));
            assert_eq!(
                describe_alarms(&[(&ops, "“a”"), (&ops_us, "“a”"), (&shop, "“b”")]),
                format!("{when}: in ops “a”; in shop “b”.")
            );
        }
    }
}
