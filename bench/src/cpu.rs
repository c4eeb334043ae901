//! CPU time of this process and of all processes that it has started, as counted
//! by the kernel.

use anyhow::Context;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};
use testbed::{Cluster, Node};

/// Ticks of the kernel's clock per second, which Linux reports everywhere.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time since each process began, by name.
pub struct CpuSnapshot {
    seconds_by_process: BTreeMap<String, f64>,
    /// Busy ticks of the whole host.
    busy_ticks: f64,
    /// All ticks of the whole host.
    total_ticks: f64,
}

/// CPU usage between two snapshots.
pub struct CpuUsage {
    /// CPU seconds by name, largest first.
    pub by_process: Vec<(String, f64)>,
    /// Busy share of the host's processors, including other programs.
    pub busy_share: f64,
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    ticks: f64,
}

impl CpuSnapshot {
    pub fn take(cluster: &Cluster) -> anyhow::Result<Self> {
        let own = std::process::id();
        let mut known = HashMap::from([(own, "clients".to_owned())]);
        let name = |nodes: &[Node], what: &str, known: &mut HashMap<u32, String>| {
            for (number, node) in (1..).zip(nodes) {
                known.extend(node.pid().map(|pid| (pid, format!("{what} {number}"))));
            }
        };
        name(&cluster.web, "web", &mut known);
        name(&cluster.workers, "worker", &mut known);
        let all = list_processes();
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
            *used.entry(what.to_owned()).or_default() += process.ticks / TICKS_PER_SECOND;
        }
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        // The last two (guest times) are already part of the first two.
        let all: f64 = ticks.iter().take(8).sum();
        Ok(Self { seconds_by_process: used, busy_ticks: all - idle, total_ticks: all })
    }

    /// Returns the usage since `before`.
    pub fn usage_since(&self, before: &Self) -> CpuUsage {
        let since = |what: &String, used: f64| {
            used - before.seconds_by_process.get(what).copied().unwrap_or(0.0)
        };
        let mut by_process: Vec<_> = self
            .seconds_by_process
            .iter()
            .map(|(what, used)| (what.clone(), since(what, *used)))
            .collect();
        by_process.sort_by(|a, b| b.1.total_cmp(&a.1));
        CpuUsage {
            by_process,
            busy_share: (self.busy_ticks - before.busy_ticks)
                / (self.total_ticks - before.total_ticks).max(1.0),
        }
    }
}

impl CpuUsage {
    /// Returns the CPU time per item of `count`, by name.
    #[allow(clippy::cast_precision_loss)]
    pub fn per_item(&self, count: usize) -> impl Iterator<Item = (&str, Duration)> {
        let of_one = move |used: f64| Duration::from_secs_f64((used / count as f64).max(0.0));
        self.by_process.iter().map(move |(what, used)| (what.as_str(), of_one(*used)))
    }
}

/// Returns the CPU time used so far by a process and its children that have ended.
pub fn process_cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let process = parse_stat(pid, &stat).context("/proc/<pid>/stat is not as in proc(5)")?;
    Ok(Duration::from_secs_f64(process.ticks / TICKS_PER_SECOND))
}

/// Lists the running processes, without those that end in the meantime.
fn list_processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        parse_stat(pid, &stat)
    })
    .collect()
}

/// Parses `/proc/<pid>/stat`, see proc(5). A name may contain spaces and brackets.
fn parse_stat(pid: u32, stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    // User and system time of the process, and of its children that have ended.
    let ticks = (11..=14).filter_map(number).map(f64::from).sum();
    Some(Process { pid, parent: number(1)?, name, ticks })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stat_line_is_parsed_whatever_the_process_is_named() {
        let stat = "42 (beam) smp) S 7 1 1 0 -1 0 0 0 0 0 100 20 3 4 20 0 1 0";
        let process = parse_stat(42, stat).unwrap();
        assert_eq!((process.parent, process.name.as_str()), (7, "beam) smp"));
        assert!((process.ticks - 127.0).abs() < 0.1, "{}", process.ticks);
    }
}
