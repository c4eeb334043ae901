//! `meanwhile compare`, the real command, somewhat faster than by default and with fewer products.

use crate::support::BINARY;
use contract::comparison::{Comparison, ComparisonLine, Notice, Scenario, Way};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn command(temporary: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command
        // At a higher speed, a slow machine would send its requests more slowly than the limits
        // allow, and everything would be done before a server is killed.
        .args(["compare", "--json", "--speed", "10", "--products", "6"])
        .env("TMPDIR", temporary)
        .env("RUST_LOG", "error")
        // What is set for an installation must not lead to its data.
        .env("MEANWHILE_DATA", "/nonexistent")
        .env("MEANWHILE_DATABASE", "postgres://127.0.0.1:1/nonexistent")
        .stdin(Stdio::null());
    command
}

/// Returns the processes whose environment names the folder: everything that was started there.
fn processes_of(temporary: &TempDir) -> Vec<String> {
    let folder = temporary.path().display().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let environments = entries.filter(|entry| {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&folder)
    });
    environments.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn assert_nothing_is_left(temporary: &TempDir) {
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    assert_eq!(processes_of(temporary), Vec::<String>::new());
}

#[test]
fn events_lose_nothing_where_the_other_ways_do() {
    let temporary = tempfile::tempdir().unwrap();
    let output = command(temporary.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut scenarios = Vec::new();
    let mut results = Vec::<Comparison>::new();
    for line in lines {
        match line {
            ComparisonLine::Progress(progress) => {
                assert_eq!(progress.ways.iter().map(|it| it.way).collect::<Vec<_>>(), Way::ALL);
                scenarios.push(progress.scenario);
            }
            ComparisonLine::Result(comparison) => results.push(comparison),
        }
    }
    scenarios.dedup();
    assert_eq!(scenarios, Scenario::ALL);
    let [comparison] = results.as_slice() else { panic!("{} results", results.len()) };
    assert_eq!(comparison.figures.len(), Scenario::ALL.len() * Way::ALL.len());
    let of = |scenario, way| comparison.figures_of(scenario, way).unwrap();

    for figures in comparison.figures.iter().filter(|it| it.way == Way::ByEvents) {
        assert_eq!((figures.lost, figures.duplicates), (0, 0), "{figures:?}");
        assert_eq!(figures.notice, Notice::Notification, "{figures:?}");
        assert!(figures.answer_ms.is_some() && figures.done_ms.is_some(), "{figures:?}");
    }
    for scenario in [Scenario::Alone, Scenario::Together] {
        let figures = of(scenario, Way::Synchronous);
        assert_eq!((figures.lost, figures.notice), (0, Notice::Response), "{figures:?}");
        assert!(figures.answer_ms >= figures.done_ms, "{figures:?}");
    }
    assert_eq!(of(Scenario::Alone, Way::Asynchronous).notice, Notice::OnRequest);
    let left = of(Scenario::Left, Way::Synchronous);
    assert!(left.lost > 0 && left.notice == Notice::None, "{left:?}");
    for way in [Way::Synchronous, Way::Asynchronous] {
        let killed = of(Scenario::Killed, way);
        assert!(killed.lost > 0 && killed.duplicates > 0, "{killed:?}");
        assert_eq!((killed.notice, killed.done_ms), (Notice::None, None), "{killed:?}");
    }
    assert!(of(Scenario::Together, Way::Asynchronous).over_limit > 0);
    assert_nothing_is_left(&temporary);
}

#[test]
fn a_signal_and_a_reader_that_goes_away_leave_nothing_behind() {
    for is_interrupted in [true, false] {
        let temporary = tempfile::tempdir().unwrap();
        let mut child =
            command(temporary.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The servers run from the first line on.
        lines.next().unwrap().unwrap();
        assert!(processes_of(&temporary).len() > Way::ALL.len());
        match is_interrupted {
            true => {
                let interrupt = ["-s", "INT", &child.id().to_string()].map(str::to_owned);
                assert!(Command::new("kill").args(interrupt).status().unwrap().success());
            }
            false => drop(lines),
        }
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(!status.success());
        assert_nothing_is_left(&temporary);
    }
}
