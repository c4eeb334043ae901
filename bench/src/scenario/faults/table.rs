//! What all rounds found, by fault.

use super::{fault::Fault, round::Found};
use crate::report::{Report, time};
use std::{collections::BTreeMap, fmt::Write, time::Duration};

pub struct Table {
    head: String,
    faults: BTreeMap<Fault, Vec<Found>>,
}

impl Table {
    pub fn new(report: &Report) -> Self {
        Self { head: report.head(), faults: BTreeMap::new() }
    }

    pub fn add(&mut self, fault: Fault, found: Found) {
        self.faults.entry(fault).or_default().push(found);
    }

    pub fn tell(&self, report: &mut Report) {
        for (fault, rounds) in &self.faults {
            let broken: Vec<_> = rounds.iter().flat_map(|round| &round.broken).collect();
            let (items, people, median) = sums(rounds);
            let detail = match broken.first() {
                None => format!(
                    "{} rounds, {items} items, {people} need a person, over {} after the mend",
                    rounds.len(),
                    time(median)
                ),
                Some(first) => format!("{} things, such as {first}", broken.len()),
            };
            report.check(fault.name(), broken.is_empty(), detail);
        }
    }

    /// As `docs/FAULTS.md`.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "# What fails, and what must hold\n\n\
             Made by `make faults`; not edited by hand. Each round runs two batches and a start of \
             machines on real servers while its fault happens and two clients listen, whose \
             connections are each cut two to four times, and whenever they hear nothing for three \
             seconds. It holds when every item that was accepted, before the fault or during it, has \
             come to an end; nothing failed but what its channel refused or always fails at; nothing \
             needs a person where a channel knows a repeated call; the jobs in the list are those \
             that clients were told of, and their counters are those of their rows; what is told as \
             done is one product at its channel; EC2 started each machine that was stopped once, none \
             that ran or may not be started, and CloudWatch has one alarm for each that runs, made by \
             one step of the same job; the services themselves counted no request over a limit and no \
             product made twice, none came while its channel was known to be closed; and both clients \
             end equal to the store with no fact missed or repeated.\n\n\
             A closing is known when the attempt that heard the 429 has ended: the gate is told \
             before that. What comes up to 0.25 s later was let go before and is on its way; what \
             comes later still disobeys, and breaks the round. Where nothing but the channels goes \
             wrong (none, storm, clock-off), no attempt may end at its time limit, and no 429 may \
             cost one.\n\n",
        );
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}\n", self.head);
        let _ = writeln!(
            text,
            "| fault | required | rounds | holds | items | need a person | from the mend to the end, median |"
        );
        let _ = writeln!(text, "| --- | --- | --- | --- | --- | --- | --- |");
        for (fault, found) in &self.faults {
            let held = found.iter().filter(|round| round.broken.is_empty()).count();
            let (items, people, median) = sums(found);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {held} | {items} | {people} | {} |",
                fault.name(),
                fault.required(),
                found.len(),
                time(median)
            );
        }
        text.push_str("\n## What was measured besides\n\n");
        for (fault, rounds) in &self.faults {
            for round in rounds.iter().filter(|round| !round.figures.is_empty()) {
                let _ = writeln!(text, "- {}: {}", fault.name(), round.figures.join("; "));
            }
        }
        let broken = self.faults.iter().flat_map(|(fault, rounds)| {
            rounds.iter().flat_map(|round| &round.broken).map(|words| (fault.name(), words))
        });
        let broken: Vec<_> = broken.collect();
        if !broken.is_empty() {
            text.push_str("\n## What did not hold\n\n");
            for (fault, words) in broken {
                let _ = writeln!(text, "- {fault}: {words}");
            }
        }
        text
    }
}

/// Items, those that need a person, and the median time from mend to end.
fn sums(rounds: &[Found]) -> (usize, u32, Duration) {
    let mut times: Vec<_> = rounds.iter().map(|round| round.recovered).collect();
    times.sort_unstable();
    let items = rounds.iter().map(|round| round.items).sum();
    let people = rounds.iter().map(|round| round.need_person).sum();
    (items, people, times.get(times.len() / 2).copied().unwrap_or_default())
}
