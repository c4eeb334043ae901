//! Watching a job: to its end, after `kill -9`, across a restart of the server, and Ctrl-C.

use super::{Terminal, start_server};
use contract::JobId;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command},
};
use testbed::{ServerProcess, api::product_csv, wait_until};

/// A command that prints a fact in each line.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Facts that were read so far.
    facts: Vec<Value>,
}

impl Watching {
    fn start(terminal: &Terminal, arguments: &[&str]) -> Self {
        let mut child = terminal.command(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, facts: Vec::new() }
    }

    /// Reads facts until there are `count`.
    fn read(&mut self, count: usize) {
        let mut line = String::new();
        while self.facts.len() < count {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended: {}", self.errors());
            self.facts.push(serde_json::from_str(&line).unwrap());
        }
    }

    /// Reads to the end, and returns the exit code and what is on stderr.
    fn finish(mut self) -> (Option<i32>, String, Vec<Value>) {
        for line in self.lines.by_ref().lines() {
            self.facts.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        let errors = self.errors();
        (self.child.wait().unwrap().code(), errors, self.facts)
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }
}

/// Returns the sequence numbers of facts.
fn sequence(facts: &[Value]) -> Vec<i64> {
    facts.iter().map(|fact| fact["seq"].as_i64().unwrap()).collect()
}

async fn journal(server: &ServerProcess, job: JobId) -> Vec<i64> {
    server.api.journal(job).await.unwrap().iter().map(|fact| fact.seq).collect()
}

fn job_of(facts: &[Value]) -> JobId {
    facts[0]["job"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn upload_is_watched_to_its_end() {
    let server = start_server(50.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv(150));
    let arguments = ["upload", "products.csv", "--channels", "acme,bazaar", "--watch"];
    let printed = terminal.run(&arguments);
    let lines: Vec<_> = printed.expect(0).lines().collect();
    assert!(lines[0].ends_with(": products.csv, 300 items."), "{lines:?}");
    assert!(lines[1].contains("of 300: "), "{lines:?}");
    assert_eq!(lines.last(), Some(&"All 300 items succeeded (300 created)."));
    assert_eq!(printed.stderr, "");

    let again = terminal.run(&arguments);
    let ended = again.expect(0).lines().last();
    assert_eq!(ended, Some("All 300 items succeeded (300 unchanged)."));
}

#[tokio::test]
async fn killed_watch_is_taken_up_again_and_misses_nothing() {
    let server = start_server(5.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv(150));
    let arguments = ["upload", "products.csv", "--channels", "acme", "--watch", "--json"];
    let mut first = Watching::start(&terminal, &arguments);
    first.read(20);
    // SIGKILL.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let job = job_of(&first.facts);
    assert!(server.api.job(job).await.unwrap().finished_at.is_none(), "it ended before the kill");

    let id = job.to_string();
    let second = Watching::start(&terminal, &["job", &id, "--watch", "--json"]);
    let (exit_code, errors, facts) = second.finish();
    assert_eq!((exit_code, errors.as_str()), (Some(0), ""));
    assert_eq!(sequence(&facts), journal(&server, job).await);
    assert_eq!(facts.last().unwrap()["kind"], "job.finished");
    assert_eq!(facts[..20], first.facts[..20]);
}

#[tokio::test]
async fn watch_goes_on_across_a_restart_of_the_server() {
    let mut server = start_server(5.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv(150));
    let arguments = ["upload", "products.csv", "--channels", "acme", "--watch", "--json"];
    let mut watching = Watching::start(&terminal, &arguments);
    watching.read(20);
    server.kill();
    server.spawn().await.unwrap();
    let (exit_code, errors, facts) = watching.finish();
    assert_eq!(exit_code, Some(0), "{errors}");
    assert!(errors.contains("is lost") && errors.contains("Connected again."), "{errors}");
    let printed = sequence(&facts);
    assert_eq!(printed, journal(&server, job_of(&facts)).await);
}

#[tokio::test]
async fn watch_gives_up_when_the_server_stays_away() {
    let mut server = start_server(1.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv(150));
    let arguments = ["upload", "products.csv", "--channels", "acme", "--watch", "--json"];
    let mut watching =
        Watching::start(&terminal, &[&arguments[..], &["--max-offline-s", "2"]].concat());
    watching.read(1);
    server.kill();
    let (exit_code, errors, _) = watching.finish();
    assert_eq!(exit_code, Some(3), "{errors}");
    assert!(errors.contains("can't be reached: nothing listens there."), "{errors}");
}

#[tokio::test]
async fn ctrl_c_leaves_the_job_running_and_says_how_to_go_on() {
    let server = start_server(1.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv(150));
    let arguments = ["upload", "products.csv", "--channels", "acme", "--watch", "--json"];
    let mut watching = Watching::start(&terminal, &arguments);
    watching.read(2);
    let job = job_of(&watching.facts);
    let pid = watching.child.id().to_string();
    assert!(
        Command::new("sh").args(["-c", "kill -s INT \"$0\"", &pid]).status().unwrap().success()
    );
    let (exit_code, errors, _) = watching.finish();
    assert_eq!(exit_code, Some(130), "{errors}");
    assert_eq!(
        errors,
        format!("The job goes on. Take it up again with: meanwhile job {job} --watch\n")
    );
    let before = server.api.job(job).await.unwrap().counts.finished();
    wait_until("the job goes on", async || {
        server.api.job(job).await.unwrap().counts.finished() > before
    })
    .await;
}
