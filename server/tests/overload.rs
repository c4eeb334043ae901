//! Past its caps the system says so at once, and stays quick for others.
//!
//! Requests that are under way are made by senders that stop in the middle, so
//! that nothing here depends on who is quick.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};
use support::{Meanwhile, seed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme";
const FILE: &str = "sku,title,price\nA-1,Lamp,19.90\n";
/// Requests that one person may have under way.
const SHARE: usize = 64;
const MIB: usize = 1024 * 1024;

/// Ada and Bob have a session each, named after them. Nothing that is launched
/// comes to an end by itself.
async fn start(env: &[(&'static str, &str)]) -> Meanwhile {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    let store = seed::store(&meanwhile).await;
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let bob = seed::user(&meanwhile, "bob@example.com").await;
    seed::sign_in(&store, ada, "ada").await;
    seed::sign_in(&store, bob, "bob").await;
    meanwhile.env.push(("MEANWHILE_SANDBOX_SPEED", "0.001".into()));
    meanwhile.env.push(("MEANWHILE_SEND_TIMEOUT_S", "300".into()));
    meanwhile.env.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
    meanwhile.spawn(false).await;
    meanwhile
}

fn post(meanwhile: &Meanwhile, who: &str, path: &str) -> RequestBuilder {
    meanwhile
        .client
        .post(meanwhile.url(path))
        .header(header::ORIGIN, meanwhile.url(""))
        .header(header::COOKIE, seed::cookie(who))
}

async fn jobs(meanwhile: &Meanwhile, who: &str) -> Response {
    let request = meanwhile.client.get(meanwhile.url("/api/v1/jobs?limit=200"));
    request.header(header::COOKIE, seed::cookie(who)).send().await.unwrap()
}

/// Refused for now, with when to come again and a sentence.
async fn refused(response: Response, status: StatusCode, words: &str) {
    assert_eq!(response.status(), status);
    let after: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A launch whose sender says that `length` bytes come.
struct Sender(TcpStream);

impl Sender {
    async fn open(meanwhile: &Meanwhile, who: Option<&str>, path: &str, length: usize) -> Self {
        let port = meanwhile.port;
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n"
        );
        if let Some(who) = who {
            write!(head, "Cookie: {}\r\n", seed::cookie(who)).unwrap();
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// One that was let in: its body is waited for.
    async fn within(meanwhile: &Meanwhile, who: &str, length: usize) -> Self {
        let mut sender = Self::open(meanwhile, Some(who), UPLOAD, length).await;
        let mut answer = [0; 25];
        sender.0.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        sender
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// All up to the end of the answer's body, which is JSON.
    async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut piece = [0; 4096];
            let read = timeout(Duration::from_secs(60), self.0.read(&mut piece)).await;
            let count = read.expect("an answer within a minute").unwrap();
            assert!(count > 0, "no whole answer: {:?}", String::from_utf8_lossy(&answer));
            answer.extend(&piece[..count]);
        }
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn past_their_share_a_person_is_told_at_once_and_others_are_served() {
    let meanwhile = start(&[]).await;
    let mut senders = Vec::new();
    for _ in 0..SHARE {
        let mut sender = Sender::within(&meanwhile, "ada", FILE.len()).await;
        sender.send("sku").await;
        senders.push(sender);
    }
    refused(jobs(&meanwhile, "ada").await, StatusCode::TOO_MANY_REQUESTS, "64 requests").await;
    let another = post(&meanwhile, "ada", UPLOAD).body(FILE).send().await.unwrap();
    refused(another, StatusCode::TOO_MANY_REQUESTS, "Nothing was changed").await;

    // All of hers is still under way, and Bob is served.
    let launched = post(&meanwhile, "bob", UPLOAD).body(FILE).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    let read: Value = jobs(&meanwhile, "bob").await.json().await.unwrap();
    assert_eq!(read["items"].as_array().unwrap().len(), 1);

    // Nothing of hers that was let in is lost.
    for mut sender in senders {
        sender.send(&FILE[3..]).await;
        let answer = sender.answer().await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let read: Value = jobs(&meanwhile, "ada").await.json().await.unwrap();
    assert_eq!(read["items"].as_array().unwrap().len(), SHARE);
}

#[tokio::test]
async fn a_flood_of_launches_leaves_others_their_turn_and_is_counted_truly() {
    let meanwhile = start(&[]).await;
    // What is left of her share is little: most of the flood is past it.
    let mut senders = Vec::new();
    for _ in 0..SHARE - 8 {
        senders.push(Sender::within(&meanwhile, "ada", FILE.len()).await);
    }
    let launches = (0..300).map(|_| post(&meanwhile, "ada", UPLOAD).body(FILE).send());
    let mut flood = launches.collect::<FuturesUnordered<_>>();
    let (mut accepted, mut refusals, mut bobs) = (0, 0, 0);
    while let Some(answer) = flood.next().await {
        let answer = answer.unwrap();
        match answer.status() {
            StatusCode::ACCEPTED => accepted += 1,
            status => {
                refused(answer, status, "64 requests").await;
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                refusals += 1;
            }
        }
        if (accepted + refusals) % 30 == 0 {
            let launched = post(&meanwhile, "bob", UPLOAD).body(FILE).send().await.unwrap();
            assert_eq!(launched.status(), StatusCode::ACCEPTED);
            bobs += 1;
        }
    }
    assert!(refusals > 0 && accepted > 0, "{accepted} accepted, {refusals} refused");
    for (who, count) in [("ada", accepted), ("bob", bobs)] {
        let read: Value = jobs(&meanwhile, who).await.json().await.unwrap();
        let read = read["items"].as_array().unwrap().len();
        assert_eq!(read, usize::min(count, 200), "{who}");
    }
}

#[tokio::test]
async fn slow_senders_of_one_person_starve_nobody_else() {
    let meanwhile = start(&[]).await;
    // One of hers holds all that she may; the others are sent away.
    let mut slow = Sender::within(&meanwhile, "ada", 32 * MIB).await;
    slow.send("sku,title,price\n").await;
    for _ in 0..2 {
        let answer = Sender::open(&meanwhile, Some("ada"), UPLOAD, 32 * MIB).await.answer().await;
        assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
        assert!(answer.contains("retry-after: "), "{answer}");
        assert!(answer.contains("You are sending files already"), "{answer}");
    }
    // Bob's file is large too, and has its place; a small one of hers has none.
    let file = format!("{FILE}A-2,{},1\n", "x".repeat(MIB));
    let launched = post(&meanwhile, "bob", UPLOAD).body(file).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::UNPROCESSABLE_ENTITY, "the title is too long");
    let launched = post(&meanwhile, "ada", UPLOAD).body(FILE).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_stranger_is_sent_away_before_a_byte_of_the_file_is_held() {
    let meanwhile = start(&[]).await;
    let mut strangers = Vec::new();
    // What a stranger may ask for is as much as what they may not.
    for path in [UPLOAD, "/launch/upload", "/api/v1/session", "/sign-in", "/setup"] {
        for who in [None, Some("made-up")] {
            for _ in 0..4 {
                strangers.push((path, Sender::open(&meanwhile, who, path, 32 * MIB).await));
            }
        }
    }
    for (path, stranger) in &mut strangers {
        let answer = stranger.answer().await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    let file = format!("{FILE}A-2,{},1\n", "x".repeat(MIB));
    let launched = post(&meanwhile, "ada", UPLOAD).body(file).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::UNPROCESSABLE_ENTITY, "the title is too long");
}

#[tokio::test]
async fn who_falls_silent_is_told_and_frees_their_place() {
    let meanwhile = start(&[("MEANWHILE_SEND_TIMEOUT_S", "1")]).await;
    for length in [FILE.len(), 32 * MIB] {
        let mut sender = Sender::within(&meanwhile, "ada", length).await;
        sender.send("sku,title").await;
        let answer = sender.answer().await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("Nothing was changed"), "{answer}");
        // And the connection ends.
        assert_eq!(sender.0.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
    let file = format!("{FILE}A-2,{},1\n", "x".repeat(MIB));
    let launched = post(&meanwhile, "ada", UPLOAD).body(file).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::UNPROCESSABLE_ENTITY, "the title is too long");
    let read: Value = jobs(&meanwhile, "ada").await.json().await.unwrap();
    assert_eq!(read["items"], json!([]));
}

/// Peak memory of the server, MiB.
fn peak(meanwhile: &Meanwhile) -> u64 {
    let pid = meanwhile.child.as_ref().unwrap().id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn large_files_at_once_wait_for_each_other_and_memory_does_not_grow_with_them() {
    let meanwhile = start(&[]).await;
    let before = peak(&meanwhile);
    // One line, so that reading it is over soon.
    let file = Bytes::from(vec![b'x'; 8 * MIB]);
    let sent = (0..48).map(|_| post(&meanwhile, "ada", UPLOAD).body(file.clone()).send());
    let mut answers = sent.collect::<FuturesUnordered<_>>();
    while let Some(answer) = answers.next().await {
        match answer.unwrap().status() {
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS => {}
            status => panic!("{status}"),
        }
    }
    let after = peak(&meanwhile);
    eprintln!("peak MiB before {before}, after {after}");
    assert!(after < before + 256, "peak MiB before {before}, after {after}");
}

#[tokio::test]
async fn who_has_too_much_open_is_told_what_to_wait_for() {
    let caps = [("MEANWHILE_MAX_OPEN_JOBS", "2"), ("MEANWHILE_MAX_OPEN_ITEMS", "5")];
    let meanwhile = start(&caps).await;
    let launch = async |who: &str, products: usize| {
        let rows = (0..products).map(|n| format!("A-{n},Lamp,1\n")).collect::<String>();
        let file = format!("sku,title,price\n{rows}");
        post(&meanwhile, who, UPLOAD).body(file).send().await.unwrap()
    };
    let words = "You have 0 open items and may have 5; this would add 6. Wait until some end.";
    refused(launch("ada", 6).await, StatusCode::TOO_MANY_REQUESTS, words).await;
    let first = launch("ada", 3).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let words = "You have 3 open items and may have 5; this would add 3.";
    refused(launch("ada", 3).await, StatusCode::TOO_MANY_REQUESTS, words).await;
    assert_eq!(launch("ada", 1).await.status(), StatusCode::ACCEPTED);
    let words = "You have 2 open jobs and may have 2; this would add 1.";
    refused(launch("ada", 1).await, StatusCode::TOO_MANY_REQUESTS, words).await;

    // A page says it as well, with the file that was sent.
    let part = |name: &str, rest: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{value}\r\n")
    };
    let form = part("file", "; filename=\"f.csv\"", FILE) + &part("channels", "", "acme");
    let form = post(&meanwhile, "ada", "/launch/upload")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(form + "--b--\r\n");
    let page = form.send().await.unwrap();
    assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(page.headers().contains_key(header::RETRY_AFTER));
    let page = page.text().await.unwrap();
    assert!(page.contains("You have 2 open jobs") && page.contains("f.csv"), "{page}");

    // Bob has his own; and what ends makes room.
    assert_eq!(launch("bob", 5).await.status(), StatusCode::ACCEPTED);
    let location = first.headers()[header::LOCATION].to_str().unwrap();
    let cancelled = post(&meanwhile, "ada", &format!("{location}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    until("there is room again", async || launch("ada", 1).await.status() == StatusCode::ACCEPTED)
        .await;
}
