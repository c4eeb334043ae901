//! Who kept the processors busy: CPU time of this process and of all that it
//! has started, as the kernel counts it.

use crate::cluster::{Cluster, Node};
use anyhow::Context;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};

/// Of the kernel's clock, as Linux tells it on every machine.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU time since each process began, by what it is.
pub struct Cpu {
    used: BTreeMap<String, f64>,
    /// Of the whole machine, ticks: with work to do, and all.
    busy: f64,
    all: f64,
}

/// Between two looks.
pub struct Used {
    /// CPU seconds by what it is, the most first.
    pub by: Vec<(String, f64)>,
    /// Part of the machine's processors that had work to do, others' too.
    pub busy: f64,
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    ticks: f64,
}

impl Cpu {
    pub fn now(cluster: &Cluster) -> anyhow::Result<Self> {
        let own = std::process::id();
        let mut known = HashMap::from([(own, "clients".to_owned())]);
        let name = |nodes: &[Node], what: &str, known: &mut HashMap<u32, String>| {
            for (number, node) in (1..).zip(nodes) {
                known.extend(node.pid().map(|pid| (pid, format!("{what} {number}"))));
            }
        };
        name(&cluster.web, "web", &mut known);
        name(&cluster.workers, "worker", &mut known);
        let all = processes();
        let parents: HashMap<u32, u32> = all.iter().map(|p| (p.pid, p.parent)).collect();
        let is_ours = |mut pid: u32| loop {
            match parents.get(&pid) {
                Some(_) if pid == own => return true,
                Some(parent) => pid = *parent,
                None => return false,
            }
        };
        let mut used = BTreeMap::new();
        for process in all.iter().filter(|process| is_ours(process.pid)) {
            let what = match (known.get(&process.pid), process.name.as_str()) {
                (Some(what), _) => what,
                (None, "postgres") => "PostgreSQL",
                (None, "beam.smp") => "RabbitMQ",
                (None, "redis-server") => "Redis",
                (None, _) => "others",
            };
            *used.entry(what.to_owned()).or_default() += process.ticks / TICKS_A_SECOND;
        }
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        // The last two are counted in the first two already.
        let all: f64 = ticks.iter().take(8).sum();
        Ok(Self { used, busy: all - idle, all })
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Used {
        let since = |what: &String, used: f64| used - before.used.get(what).copied().unwrap_or(0.0);
        let mut by: Vec<_> =
            self.used.iter().map(|(what, used)| (what.clone(), since(what, *used))).collect();
        by.sort_by(|a, b| b.1.total_cmp(&a.1));
        Used { by, busy: (self.busy - before.busy) / (self.all - before.all).max(1.0) }
    }
}

impl Used {
    /// CPU time of one of `count` things, by what used it.
    #[allow(clippy::cast_precision_loss)]
    pub fn of_one(&self, count: usize) -> impl Iterator<Item = (&str, Duration)> {
        let of_one = move |used: f64| Duration::from_secs_f64((used / count as f64).max(0.0));
        self.by.iter().map(move |(what, used)| (what.as_str(), of_one(*used)))
    }
}

/// What a process and those of its children that have ended have used so far.
pub fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let process = process(pid, &stat).context("/proc/<pid>/stat is not as in proc(5)")?;
    Ok(Duration::from_secs_f64(process.ticks / TICKS_A_SECOND))
}

/// All that run; what ended meanwhile is left out.
fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        process(pid, &stat)
    })
    .collect()
}

/// See proc(5). A name may hold spaces and brackets.
fn process(pid: u32, stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u32>().ok();
    // Own time and that of children that have ended, each in user and system.
    let ticks = (11..=14).filter_map(number).map(f64::from).sum();
    Some(Process { pid, parent: number(1)?, name, ticks })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_is_read_by_place_whatever_it_is_called() {
        let stat = "42 (beam) smp) S 7 1 1 0 -1 0 0 0 0 0 100 20 3 4 20 0 1 0";
        let process = process(42, stat).unwrap();
        assert_eq!((process.parent, process.name.as_str()), (7, "beam) smp"));
        assert!((process.ticks - 127.0).abs() < 0.1, "{}", process.ticks);
    }
}
