//! Machines that start, don't start, or stop again, and concurrent tasks for one machine.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::connector;
use aws::{account::ClientOptions, credentials::FixedCredentials};
use contract::{JobId, TaskId, UserId, command::Command};
use std::sync::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use uuid::Uuid;

const POLL: Duration = Duration::from_secs(5);
/// Start of the first attempt, UTC ms.
const START_MS: i64 = 1_000_000;

/// EC2 with one machine, whose state the test sets.
struct FakeEc2 {
    state: Arc<Mutex<&'static str>>,
    actions: Arc<Mutex<Vec<&'static str>>>,
    handler: Ec2StartHandler,
}

impl FakeEc2 {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new("stopped"));
        let actions = Arc::new(Mutex::new(Vec::new()));
        let (server_state, server_actions) = (Arc::clone(&state), Arc::clone(&actions));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let starts = read_request(&mut stream).await.contains("Action=StartInstances");
                server_actions.lock().unwrap().push(if starts { "start" } else { "describe" });
                let state = *server_state.lock().unwrap();
                let body = format!(
                    "<R><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>\
                     <instanceState><name>{state}</name></instanceState></item></instancesSet>\
                     </item></reservationSet></R>"
                );
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n");
                let response = format!("{head}Connection: close\r\n\r\n{body}");
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        let client = connector::build_client(Duration::from_secs(10)).unwrap();
        let options = ClientOptions {
            account: "ops".into(),
            region: "eu-west-1".into(),
            ec2_url: url.clone(),
            cloudwatch_url: url,
            http_client: client,
        };
        let client = aws::Client::new(options, FixedCredentials::new("key", "secret")).unwrap();
        let ec2 = Ec2Client::new(client);
        let handler = Ec2StartHandler {
            watcher: Arc::new(MachineWatcher::new(ec2.clone(), POLL)),
            ec2,
            start_upstream: "ec2".into(),
            poll_interval: POLL,
            start_timeout: Duration::from_secs(600),
        };
        Self { state, actions, handler }
    }

    fn set_state(&self, state: &'static str) {
        *self.state.lock().unwrap() = state;
    }

    /// Returns the actions since the last call.
    fn take_actions(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.actions.lock().unwrap())
    }

    /// Runs the handler, and updates the task as the store would.
    async fn run(&self, task: &mut ClaimedTask) -> Result<Success, AttemptError> {
        let latest = Instant::now() + Duration::from_secs(10);
        let mut context = AttemptContext::new(task, None, None, latest);
        // The clock of the tasks goes on between two attempts, that of the process does not.
        self.handler.watcher.forget_reads();
        let command = Ec2Start {
            instance_id: "i-1".into(),
            name: "web".into(),
            account: "ops".into(),
            region: "eu-west-1".into(),
        };
        let outcome = match context.task.only_reconcile {
            true => self.handler.reconcile(command, &mut context).await,
            false => self.handler.run(command, &mut context).await,
        };
        match &outcome {
            Err(AttemptError::Wait { wait, checkpoint, .. }) => {
                task.checkpoint = checkpoint.as_deref().cloned().or(task.checkpoint.take());
                task.started_at += i64::try_from(wait.as_millis()).unwrap();
            }
            Err(AttemptError::Retry { .. }) => task.attempt += 1,
            _ => {}
        }
        outcome
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let read = stream.read(&mut chunk).await.unwrap();
        text.extend_from_slice(&chunk[..read]);
        let request = String::from_utf8_lossy(&text).into_owned();
        let length = request.to_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let whole = request.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() == length);
        if whole || read == 0 {
            return request;
        }
    }
}

fn claimed_task() -> ClaimedTask {
    ClaimedTask {
        id: TaskId(Uuid::now_v7()),
        job: JobId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        kind: Ec2Start::KIND.into(),
        key: "i-1".into(),
        channel: None,
        sku: "i-1".into(),
        title: "web".into(),
        row: 0,
        body: json!({}),
        checkpoint: None,
        attempt: 1,
        unknown_since: None,
        only_reconcile: false,
        revision: 0,
        fence: 1,
        started_at: START_MS,
    }
}

#[tokio::test]
async fn concurrent_tasks_start_a_machine_once() {
    let ec2 = FakeEc2::new().await;
    let (mut ada, mut bob) = (claimed_task(), claimed_task());
    assert!(matches!(
        ec2.run(&mut ada).await,
        Err(AttemptError::Wait { record_attempt: true, .. })
    ));
    assert_eq!(ec2.take_actions(), ["describe", "start"]);
    ec2.set_state("pending");
    assert!(matches!(
        ec2.run(&mut bob).await,
        Err(AttemptError::Wait { record_attempt: true, .. })
    ));
    assert!(matches!(
        ec2.run(&mut ada).await,
        Err(AttemptError::Wait { record_attempt: false, .. })
    ));
    ec2.set_state("running");
    for (task, message) in [
        (&mut ada, "The machine is running."),
        (&mut bob, "The machine is running."),
        (&mut self::claimed_task(), "The machine was running already."),
    ] {
        let success = ec2.run(task).await.unwrap();
        assert_eq!((success.outcome.message.as_str(), success.follow_ups.len()), (message, 1));
    }
    assert_eq!(ec2.take_actions(), ["describe"; 5], "the machine was started already");
}

#[tokio::test]
async fn a_machine_that_stops_again_costs_an_attempt_and_is_restarted_by_the_next() {
    let ec2 = FakeEc2::new().await;
    let mut task = claimed_task();
    for attempt in 1..=3 {
        assert_eq!(task.attempt, attempt);
        assert!(matches!(ec2.run(&mut task).await, Err(AttemptError::Wait { .. })));
        assert_eq!(ec2.take_actions(), ["describe", "start"]);
        let outcome = ec2.run(&mut task).await;
        let message = "The machine was stopped after its start.".to_owned();
        assert_eq!(outcome, Err(AttemptError::retry("stopped", message)));
        assert_eq!(ec2.take_actions(), ["describe"]);
    }
    // A machine that is being stopped can't be started before it has stopped.
    ec2.set_state("stopping");
    assert!(matches!(
        ec2.run(&mut task).await,
        Err(AttemptError::Retry { outcome_unknown: false, .. })
    ));
    assert_eq!(ec2.take_actions(), ["describe"]);
}

#[tokio::test]
async fn waiting_for_a_machine_ends_after_the_maximum() {
    let ec2 = FakeEc2::new().await;
    let mut task = claimed_task();
    assert!(matches!(ec2.run(&mut task).await, Err(AttemptError::Wait { .. })));
    ec2.set_state("pending");
    let mut polls = 0;
    let last_attempt = loop {
        let at = task.started_at;
        match ec2.run(&mut task).await {
            Err(AttemptError::Wait { .. }) => polls += 1,
            outcome => break (at, outcome),
        }
        assert!(polls < 200, "the handler still waits");
    };
    let message = "The machine was not running after 600 s.".to_owned();
    assert_eq!(
        last_attempt,
        (START_MS + 600_000, Err(AttemptError::retry("start_timeout", message)))
    );
    // The next attempt waits as long again, and does not start the machine a second time.
    ec2.take_actions();
    assert!(matches!(
        ec2.run(&mut task).await,
        Err(AttemptError::Wait { record_attempt: true, .. })
    ));
    assert!(matches!(
        ec2.run(&mut task).await,
        Err(AttemptError::Wait { record_attempt: false, .. })
    ));
    assert_eq!(ec2.take_actions(), ["describe", "describe"]);
}

#[tokio::test]
async fn a_cancelled_start_is_reconciled_and_starts_nothing() {
    let ec2 = FakeEc2::new().await;
    let lost = || ClaimedTask {
        unknown_since: Some(START_MS - 1_000),
        only_reconcile: true,
        ..claimed_task()
    };
    let mut task = lost();
    // A call that was just lost may still start the machine.
    match ec2.run(&mut task).await {
        Err(AttemptError::Wait { wait, .. }) => assert_eq!(wait, Duration::from_secs(9)),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        ec2.run(&mut task).await,
        Err(AttemptError::not_done("The machine was not started."))
    );
    ec2.set_state("running");
    assert_eq!(ec2.run(&mut lost()).await.unwrap().outcome.message, "The machine is running.");
    assert_eq!(ec2.take_actions(), ["describe"; 3]);
}

#[tokio::test]
async fn a_cancelled_start_that_ec2_accepted_is_waited_for() {
    let ec2 = FakeEc2::new().await;
    for (state, succeeds) in [("running", true), ("stopped", false)] {
        ec2.set_state("stopped");
        let mut task = claimed_task();
        assert!(matches!(ec2.run(&mut task).await, Err(AttemptError::Wait { .. })));
        assert_eq!(ec2.take_actions(), ["describe", "start"]);
        task.only_reconcile = true;
        ec2.set_state("pending");
        assert!(matches!(ec2.run(&mut task).await, Err(AttemptError::Wait { .. })));
        ec2.set_state(state);
        match ec2.run(&mut task).await {
            Ok(_) => assert!(succeeds),
            Err(error) => {
                let failed =
                    AttemptError::failed(state, "The machine was stopped after its start.");
                assert_eq!((error, succeeds), (failed, false));
            }
        }
        assert_eq!(ec2.take_actions(), ["describe", "describe"]);
    }
}
