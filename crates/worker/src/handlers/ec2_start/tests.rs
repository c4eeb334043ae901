//! A machine that starts, does not, or falls back; and who asked for it.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::connector;
use contract::{JobId, TaskId, UserId};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use uuid::Uuid;

const POLL: Duration = Duration::from_secs(5);
/// UTC ms at which each first attempt begins.
const START: i64 = 1_000_000;

/// An EC2 of one machine, which is in the state that a test says.
struct Fake {
    state: Arc<Mutex<&'static str>>,
    actions: Arc<Mutex<Vec<&'static str>>>,
    start: Start,
}

impl Fake {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new("stopped"));
        let actions = Arc::new(Mutex::new(Vec::new()));
        let (told, seen) = (Arc::clone(&state), Arc::clone(&actions));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let starts = request(&mut stream).await.contains("Action=StartInstances");
                seen.lock().unwrap().push(if starts { "start" } else { "look" });
                let state = *told.lock().unwrap();
                let body = format!(
                    "<R><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>\
                     <instanceState><name>{state}</name></instanceState></item></instancesSet>\
                     </item></reservationSet></R>"
                );
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n");
                let answer = format!("{head}Connection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let client = connector::client(Duration::from_secs(10)).unwrap();
        let ec2 = Ec2 { ec2_url: url.clone(), cloudwatch_url: url, client };
        Self { state, actions, start: Start { ec2, poll: POLL } }
    }

    fn is(&self, state: &'static str) {
        *self.state.lock().unwrap() = state;
    }

    /// What was asked since the last look at it.
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.actions.lock().unwrap())
    }

    /// Runs the handler, and keeps what the store would keep.
    async fn run(&self, task: &mut Claimed) -> Answer {
        let latest = Instant::now() + Duration::from_secs(10);
        let mut call = Call { task, permit: None, used: false, latest };
        let command = Ec2Start { instance_id: "i-1".into(), name: "web".into() };
        let answer = self.start.run(command, &mut call).await;
        match &answer {
            Answer::Wait { wait, memo, .. } => {
                task.memo = Some(memo.clone());
                task.started_at += i64::try_from(wait.as_millis()).unwrap();
            }
            Answer::Retry { .. } => task.attempt += 1,
            _ => {}
        }
        answer
    }
}

async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let read = stream.read(&mut part).await.unwrap();
        text.extend_from_slice(&part[..read]);
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

fn task() -> Claimed {
    Claimed {
        task: TaskId(Uuid::now_v7()),
        job: JobId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        kind: "ec2.start".into(),
        key: "i-1".into(),
        channel: None,
        sku: "i-1".into(),
        title: "web".into(),
        row: 0,
        body: json!({}),
        memo: None,
        attempt: 1,
        unsure: false,
        fence: 1,
        started_at: START,
    }
}

#[tokio::test]
async fn a_machine_is_started_once_whoever_asks() {
    let ec2 = Fake::new().await;
    let (mut ada, mut bob) = (task(), task());
    assert!(matches!(ec2.run(&mut ada).await, Answer::Wait { quiet: false, .. }));
    assert_eq!(ec2.asked(), ["look", "start"]);
    ec2.is("pending");
    assert!(matches!(ec2.run(&mut bob).await, Answer::Wait { quiet: false, .. }));
    assert!(matches!(ec2.run(&mut ada).await, Answer::Wait { quiet: true, .. }));
    ec2.is("running");
    for task in [&mut ada, &mut bob, &mut self::task()] {
        let answer = ec2.run(task).await;
        assert!(matches!(&answer, Answer::Done { follow_ups, .. } if follow_ups.len() == 1));
    }
    assert_eq!(ec2.asked(), ["look"; 5], "it was started already");
}

#[tokio::test]
async fn a_machine_that_falls_back_costs_an_attempt_and_is_started_by_the_next() {
    let ec2 = Fake::new().await;
    let mut task = task();
    for attempt in 1..=3 {
        assert_eq!(task.attempt, attempt);
        assert!(matches!(ec2.run(&mut task).await, Answer::Wait { .. }));
        assert_eq!(ec2.asked(), ["look", "start"]);
        let answer = ec2.run(&mut task).await;
        let message = "The machine was stopped after its start.".to_owned();
        assert_eq!(answer, again("stopped", message));
        assert_eq!(ec2.asked(), ["look"]);
    }
    // One that is being stopped can't be started before it is.
    ec2.is("stopping");
    assert!(matches!(ec2.run(&mut task).await, Answer::Retry { unsure: false, .. }));
    assert_eq!(ec2.asked(), ["look"]);
}

#[tokio::test]
async fn a_machine_is_not_waited_for_for_ever() {
    let ec2 = Fake::new().await;
    let mut task = task();
    ec2.run(&mut task).await;
    ec2.is("pending");
    let mut looks = 0;
    let given_up = loop {
        let at = task.started_at;
        match ec2.run(&mut task).await {
            Answer::Wait { .. } => looks += 1,
            answer => break (at, answer),
        }
        assert!(looks < 200, "it is waited for still");
    };
    let message = "The machine was not running after 600 s.".to_owned();
    assert_eq!(given_up, (START + 600_000, again("slow", message)));
    // The next attempt waits as long again, and does not start it a second time.
    ec2.asked();
    assert!(matches!(ec2.run(&mut task).await, Answer::Wait { quiet: false, .. }));
    assert!(matches!(ec2.run(&mut task).await, Answer::Wait { quiet: true, .. }));
    assert_eq!(ec2.asked(), ["look", "look"]);
}
