//! Requests over a limit are rejected at once, and other users stay unaffected.
//!
//! Open requests come from senders that stop in the middle of a body, so that no
//! test depends on timing.

use crate::{seed, support::new_server};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{fmt::Write as _, time::Duration};
use testbed::{ServerProcess, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme";
const CSV: &str = "sku,title,price\nA-1,Lamp,19.90\n";
/// Maximum number of open requests per user.
const MAX_USER_REQUESTS: usize = 64;
const MIB: usize = 1024 * 1024;

/// Starts a server on which Ada and Bob have a session each, named after them.
/// Its sandbox is so slow that no job finishes.
async fn start_server(env: &[(&'static str, &str)]) -> ServerProcess {
    let mut meanwhile = new_server();
    let store = seed::open_store(&meanwhile).await;
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let bob = seed::create_user(&meanwhile, "bob@example.com").await;
    seed::create_session(&store, ada, "ada").await;
    seed::create_session(&store, bob, "bob").await;
    meanwhile.set_env("MEANWHILE_SANDBOX_SPEED", "0.001");
    meanwhile.set_env("MEANWHILE_REQUEST_BODY_TIMEOUT_S", "300");
    for (name, value) in env {
        meanwhile.set_env(name, *value);
    }
    meanwhile.spawn().await.unwrap();
    meanwhile
}

fn post_as(meanwhile: &ServerProcess, session: &str, path: &str) -> RequestBuilder {
    meanwhile
        .api
        .client
        .post(meanwhile.api.url(path))
        .header(header::ORIGIN, meanwhile.api.url(""))
        .header(header::COOKIE, seed::session_cookie(session))
}

async fn get_jobs(meanwhile: &ServerProcess, session: &str) -> Response {
    let request = meanwhile.api.client.get(meanwhile.api.url("/api/v1/jobs?limit=200"));
    request.header(header::COOKIE, seed::session_cookie(session)).send().await.unwrap()
}

/// Asserts that the answer has this status, a `Retry-After` of 1 to 60 s, and
/// these words in its detail.
async fn assert_rejected(response: Response, status: StatusCode, words: &str) {
    assert_eq!(response.status(), status);
    let after: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
}

/// An upload over a raw connection that announces a body of `length` bytes.
struct RawUpload(TcpStream);

impl RawUpload {
    async fn open(
        meanwhile: &ServerProcess,
        session: Option<&str>,
        path: &str,
        length: usize,
    ) -> Self {
        let port = meanwhile.api.port;
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n"
        );
        if let Some(session) = session {
            write!(head, "Cookie: {}\r\n", seed::session_cookie(session)).unwrap();
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// Opens an upload that the server admits: it asks for the body.
    async fn open_accepted(meanwhile: &ServerProcess, session: &str, length: usize) -> Self {
        let mut sender = Self::open(meanwhile, Some(session), UPLOAD, length).await;
        let mut answer = [0; 25];
        sender.0.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        sender
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads the answer up to the end of its body, a JSON object.
    async fn read_response(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut piece = [0; 4096];
            let read = timeout(Duration::from_secs(60), self.0.read(&mut piece)).await;
            let count = read.expect("no answer within a minute").unwrap();
            assert!(count > 0, "no whole answer: {:?}", String::from_utf8_lossy(&answer));
            answer.extend(&piece[..count]);
        }
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn user_over_the_request_limit_gets_429_and_others_are_served() {
    let meanwhile = start_server(&[]).await;
    let mut senders = Vec::new();
    for _ in 0..MAX_USER_REQUESTS {
        let mut sender = RawUpload::open_accepted(&meanwhile, "ada", CSV.len()).await;
        sender.send("sku").await;
        senders.push(sender);
    }
    assert_rejected(
        get_jobs(&meanwhile, "ada").await,
        StatusCode::TOO_MANY_REQUESTS,
        "64 requests",
    )
    .await;
    let another = post_as(&meanwhile, "ada", UPLOAD).body(CSV).send().await.unwrap();
    assert_rejected(another, StatusCode::TOO_MANY_REQUESTS, "Nothing was changed").await;

    // While all of her requests are open, Bob is served.
    let launched = post_as(&meanwhile, "bob", UPLOAD).body(CSV).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    let read: Value = get_jobs(&meanwhile, "bob").await.json().await.unwrap();
    assert_eq!(read["items"].as_array().unwrap().len(), 1);

    // None of her admitted requests is lost.
    for mut sender in senders {
        sender.send(&CSV[3..]).await;
        let answer = sender.read_response().await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let read: Value = get_jobs(&meanwhile, "ada").await.json().await.unwrap();
    assert_eq!(read["items"].as_array().unwrap().len(), MAX_USER_REQUESTS);
}

#[tokio::test]
async fn flood_of_launches_blocks_no_other_user_and_is_counted() {
    let meanwhile = start_server(&[]).await;
    // Only 8 requests of her limit are left: most of the flood is over it.
    let mut senders = Vec::new();
    for _ in 0..MAX_USER_REQUESTS - 8 {
        senders.push(RawUpload::open_accepted(&meanwhile, "ada", CSV.len()).await);
    }
    let launches = (0..300).map(|_| post_as(&meanwhile, "ada", UPLOAD).body(CSV).send());
    let mut flood = launches.collect::<FuturesUnordered<_>>();
    let (mut accepted, mut rejected, mut accepted_from_bob) = (0, 0, 0);
    while let Some(answer) = flood.next().await {
        let answer = answer.unwrap();
        match answer.status() {
            StatusCode::ACCEPTED => accepted += 1,
            status => {
                assert_rejected(answer, status, "64 requests").await;
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                rejected += 1;
            }
        }
        if (accepted + rejected) % 30 == 0 {
            let launched = post_as(&meanwhile, "bob", UPLOAD).body(CSV).send().await.unwrap();
            assert_eq!(launched.status(), StatusCode::ACCEPTED);
            accepted_from_bob += 1;
        }
    }
    assert!(rejected > 0 && accepted > 0, "{accepted} accepted, {rejected} rejected");
    for (session, count) in [("ada", accepted), ("bob", accepted_from_bob)] {
        let read: Value = get_jobs(&meanwhile, session).await.json().await.unwrap();
        let read = read["items"].as_array().unwrap().len();
        assert_eq!(read, usize::min(count, 200), "{session}");
    }
}

#[tokio::test]
async fn slow_uploads_of_one_user_do_not_block_others() {
    let meanwhile = start_server(&[]).await;
    // One upload uses all of her upload memory; further large ones are rejected.
    let mut slow = RawUpload::open_accepted(&meanwhile, "ada", 32 * MIB).await;
    slow.send("sku,title,price\n").await;
    for _ in 0..2 {
        let answer =
            RawUpload::open(&meanwhile, Some("ada"), UPLOAD, 32 * MIB).await.read_response().await;
        assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
        assert!(answer.contains("retry-after: "), "{answer}");
        assert!(answer.contains("You are sending files already"), "{answer}");
    }
    // Bob's large file has a permit of its own; a small file of Ada's needs none.
    let file = format!("{CSV}A-2,{},1\n", "x".repeat(MIB));
    let launched = post_as(&meanwhile, "bob", UPLOAD).body(file).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::UNPROCESSABLE_ENTITY, "the title is too long");
    let launched = post_as(&meanwhile, "ada", UPLOAD).body(CSV).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn unauthenticated_upload_is_rejected_before_its_body_is_read() {
    let meanwhile = start_server(&[]).await;
    let mut strangers = Vec::new();
    // The limit applies to public paths as well as to protected ones.
    for path in [UPLOAD, "/launch/upload", "/api/v1/session", "/sign-in", "/setup"] {
        for session in [None, Some("made-up")] {
            for _ in 0..4 {
                strangers.push((path, RawUpload::open(&meanwhile, session, path, 32 * MIB).await));
            }
        }
    }
    for (path, stranger) in &mut strangers {
        let answer = stranger.read_response().await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    let file = format!("{CSV}A-2,{},1\n", "x".repeat(MIB));
    let launched = post_as(&meanwhile, "ada", UPLOAD).body(file).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::UNPROCESSABLE_ENTITY, "the title is too long");
}

#[tokio::test]
async fn stalled_upload_times_out_and_releases_its_permits() {
    let meanwhile = start_server(&[("MEANWHILE_REQUEST_BODY_TIMEOUT_S", "5")]).await;
    for length in [CSV.len(), 32 * MIB] {
        let mut sender = RawUpload::open_accepted(&meanwhile, "ada", length).await;
        sender.send("sku,title").await;
        let answer = sender.read_response().await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("Nothing was changed"), "{answer}");
        // The server closes the connection.
        assert_eq!(sender.0.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
    let file = format!("{CSV}A-2,{},1\n", "x".repeat(MIB));
    let launched = post_as(&meanwhile, "ada", UPLOAD).body(file).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::UNPROCESSABLE_ENTITY, "the title is too long");
    let read: Value = get_jobs(&meanwhile, "ada").await.json().await.unwrap();
    assert_eq!(read["items"], json!([]));
}

/// Returns the server's peak resident memory in MiB.
fn peak_memory_mib(meanwhile: &ServerProcess) -> u64 {
    meanwhile.memory_usage().unwrap().peak >> 20
}

#[tokio::test]
async fn concurrent_large_uploads_have_bounded_memory() {
    let meanwhile = start_server(&[]).await;
    let before = peak_memory_mib(&meanwhile);
    // A single line, so that parsing it takes little time.
    let file = Bytes::from(vec![b'x'; 8 * MIB]);
    let sent = (0..48).map(|_| post_as(&meanwhile, "ada", UPLOAD).body(file.clone()).send());
    let mut answers = sent.collect::<FuturesUnordered<_>>();
    while let Some(answer) = answers.next().await {
        match answer.unwrap().status() {
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS => {}
            status => panic!("{status}"),
        }
    }
    let after = peak_memory_mib(&meanwhile);
    eprintln!("peak MiB before {before}, after {after}");
    assert!(after < before + 256, "peak MiB before {before}, after {after}");
}

#[tokio::test]
async fn launch_over_the_open_limits_is_rejected_with_the_limit() {
    let limits = [("MEANWHILE_MAX_OPEN_JOBS", "2"), ("MEANWHILE_MAX_OPEN_ITEMS", "5")];
    let meanwhile = start_server(&limits).await;
    let launch = async |session: &str, products: usize| {
        let rows = (0..products).map(|n| format!("A-{n},Lamp,1\n")).collect::<String>();
        let file = format!("sku,title,price\n{rows}");
        post_as(&meanwhile, session, UPLOAD).body(file).send().await.unwrap()
    };
    let words = "You have 0 open items and may have 5; this would add 6. Wait until some end.";
    assert_rejected(launch("ada", 6).await, StatusCode::TOO_MANY_REQUESTS, words).await;
    let first = launch("ada", 3).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let words = "You have 3 open items and may have 5; this would add 3.";
    assert_rejected(launch("ada", 3).await, StatusCode::TOO_MANY_REQUESTS, words).await;
    assert_eq!(launch("ada", 1).await.status(), StatusCode::ACCEPTED);
    let words = "You have 2 open jobs and may have 2; this would add 1.";
    assert_rejected(launch("ada", 1).await, StatusCode::TOO_MANY_REQUESTS, words).await;

    // The page shows the same message, with the name of the uploaded file.
    let part = |name: &str, rest: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{value}\r\n")
    };
    let form = part("file", "; filename=\"f.csv\"", CSV) + &part("channels", "", "acme");
    let form = post_as(&meanwhile, "ada", "/launch/upload")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(form + "--b--\r\n");
    let page = form.send().await.unwrap();
    assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(page.headers().contains_key(header::RETRY_AFTER));
    let page = page.text().await.unwrap();
    assert!(page.contains("You have 2 open jobs") && page.contains("f.csv"), "{page}");

    // Bob has limits of his own; a cancelled job no longer counts.
    assert_eq!(launch("bob", 5).await.status(), StatusCode::ACCEPTED);
    let location = first.headers()[header::LOCATION].to_str().unwrap();
    let cancelled = post_as(&meanwhile, "ada", &format!("{location}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    wait_until("a launch is accepted again", async || {
        launch("ada", 1).await.status() == StatusCode::ACCEPTED
    })
    .await;
}
