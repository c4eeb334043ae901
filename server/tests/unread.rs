//! Clients that don't read their answers, or don't send their requests, keep
//! nothing from others and are ended.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use contract::{
    JobId, UserId,
    api::Outcome,
    command::ProductUpload,
    product::{Price, Product},
    state::JobKind,
};
use engine::store::{Accept, Claim, Ending, Finish, NewTask, Store, Turns};
use reqwest::{Response, StatusCode, header};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use support::{Meanwhile, seed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const CHANNELS: [&str; 2] = ["acme", "bazaar"];

/// Ada's server, whose sandbox is too slow for anything to come to an end.
async fn start(env: &[(&'static str, &str)]) -> (Meanwhile, Store, UserId) {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    let store = seed::store(&meanwhile).await;
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    seed::sign_in(&store, ada, "ada").await;
    meanwhile.cookie = seed::cookie("ada");
    meanwhile.env.push(("MEANWHILE_SANDBOX_SPEED", "0.001".into()));
    meanwhile.env.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
    (meanwhile, store, ada)
}

/// A job of `rows` products on two channels, of which all have failed. Each
/// has `text` as its description.
async fn failed_job(store: &Store, user: UserId, rows: u32, text: &str) -> JobId {
    let task = |row: u32, channel: &str| {
        let product = Product {
            sku: format!("F-{row:04}"),
            title: format!("Lamp {row} {}", "x".repeat(200)),
            price: Price(1990),
            description: Some(text.to_owned()),
            vendor: None,
            image: None,
            variants: Vec::new(),
        };
        let (sku, title) = (product.sku.clone(), product.title.clone());
        let command = ProductUpload { channel: channel.to_owned(), product };
        NewTask::new(&command, Some(channel.to_owned()), sku, title, row).unwrap()
    };
    let launch = Accept {
        actor: user.into(),
        kind: JobKind::ProductUploads,
        title: "failed.csv".into(),
        channels: CHANNELS.map(str::to_owned).to_vec(),
        tasks: (0..rows).flat_map(|row| CHANNELS.map(|channel| task(row, channel))).collect(),
        idempotency: None,
    };
    let job = store.accept(launch).await.unwrap().job.id;
    for channel in CHANNELS {
        let queue = format!("meanwhile.q.product.upload.{channel}.v1");
        for due in store.due(&queue, rows as usize, &Turns::default()).await.unwrap().tasks {
            let Claim::Claimed(claimed) = store.claim(due.task, due.fence, "w").await.unwrap()
            else {
                panic!("not claimed");
            };
            let message = format!("{channel} says no.");
            let outcome = Outcome { code: "x".into(), message, reference: None };
            let ending = Ending::Failed { outcome };
            let finish =
                Finish { task: due.task, fence: claimed.fence, worker: "w".into(), ending };
            store.finish(vec![finish]).await.remove(0).unwrap();
        }
    }
    job
}

/// Sends `head` from an address of this machine and reads nothing. What is not
/// read stays with the server.
async fn send(meanwhile: &Meanwhile, from: [u8; 4], head: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::from(from), 0))).unwrap();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, meanwhile.port));
    let mut stream = socket.connect(server).await.unwrap();
    let host = format!("Host: 127.0.0.1:{}\r\n", meanwhile.port);
    let origin = format!("Origin: http://127.0.0.1:{}\r\n", meanwhile.port);
    let (line, rest) = head.split_once("\r\n").unwrap();
    let head = format!("{line}\r\n{host}{origin}{rest}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn get(meanwhile: &Meanwhile, path: &str) -> Response {
    let request = meanwhile.client.get(meanwhile.url(path));
    request.header(header::COOKIE, &meanwhile.cookie).send().await.unwrap()
}

fn unread(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nCookie: {}\r\n", seed::cookie("ada"))
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_of_what_failed_has_every_product_once_with_all_its_reasons() {
    let (mut meanwhile, store, ada) = start(&[]).await;
    // More than one page of the store, and a product across two of them.
    let job = failed_job(&store, ada, 77, "for the desk").await;
    meanwhile.spawn(false).await;
    let answer = get(&meanwhile, &format!("/jobs/{job}/failed.csv")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let file = answer.text().await.unwrap();
    let mut lines = file.split_terminator("\r\n");
    assert!(lines.next().unwrap().starts_with("sku,title,"), "{file}");
    let rows: Vec<_> = lines.collect();
    assert_eq!(rows.len(), 77);
    for (number, row) in rows.iter().enumerate() {
        assert!(row.starts_with(&format!("F-{number:04},")), "{row}");
        for channel in CHANNELS {
            assert_eq!(row.matches(&format!("{channel} says no.")).count(), 1, "{row}");
        }
    }
    let one = get(&meanwhile, &format!("/jobs/{job}/failed.csv?channel=acme")).await;
    let one = one.text().await.unwrap();
    assert_eq!(one.matches("acme says no.").count(), 77);
    assert_eq!(one.matches("bazaar says no.").count(), 0);
}

#[tokio::test]
async fn a_download_that_nobody_reads_is_ended_and_gives_its_place_back() {
    let (mut meanwhile, store, ada) = start(&[("MEANWHILE_RECEIVE_TIMEOUT_S", "1")]).await;
    let job = failed_job(&store, ada, 60, &"a lamp ".repeat(4_000)).await;
    seed::token(&store, ada, "secret").await;
    meanwhile.spawn(false).await;
    let path = format!("/jobs/{job}/failed.csv");
    let mut senders = Vec::new();
    for _ in 0..4 {
        let mut sender = send(&meanwhile, [127, 0, 0, 1], &unread(&path)).await;
        let mut begun = [0; 15];
        sender.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
        senders.push(sender);
    }
    let refused = get(&meanwhile, &path).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    let words = refused.text().await.unwrap();
    assert!(words.contains("You have 4 downloads under way"), "{words}");
    // All of them are still open here, and not read.
    until("all four are given up", async || {
        let request = meanwhile.client.get(meanwhile.url("/metrics")).bearer_auth("secret");
        let measures = request.send().await.unwrap().text().await.unwrap();
        let count = measures
            .lines()
            .find_map(|line| line.strip_prefix("meanwhile_unread_answers_total "))
            .expect("it is counted from the start");
        count == "4"
    })
    .await;
    until("a place is free", async || get(&meanwhile, &path).await.status() == StatusCode::OK)
        .await;
    for mut sender in senders {
        // What the kernel had of it, and then the end. A reset that was sent
        // past the end of the small buffer is told again.
        let _ = sender.write_all(b"?").await;
        let mut rest = Vec::new();
        let end = timeout(Duration::from_secs(30), sender.read_to_end(&mut rest)).await;
        let _ = end.expect("the connection goes on");
        assert!(rest.len() < 1_000_000, "{} bytes", rest.len());
    }
}

#[tokio::test]
async fn a_request_keeps_its_place_until_its_answer_is_taken() {
    let (mut meanwhile, store, ada) = start(&[("MEANWHILE_RECEIVE_TIMEOUT_S", "600")]).await;
    let job = failed_job(&store, ada, 100, "for the desk").await;
    meanwhile.spawn(false).await;
    let path = format!("/api/v1/jobs/{job}/tasks?limit=200");
    let mut senders = Vec::new();
    for _ in 0..64 {
        let mut sender = send(&meanwhile, [127, 0, 0, 1], &unread(&path)).await;
        let mut begun = [0; 15];
        sender.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
        senders.push(sender);
    }
    let refused = get(&meanwhile, "/api/v1/jobs").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    // One answer is taken, and one connection goes.
    let mut taken = senders.pop().unwrap();
    let mut rest = vec![0; 64 * 1024];
    let takes = async { while taken.read(&mut rest).await.unwrap() > 0 {} };
    let served = until("a place is free", async || {
        get(&meanwhile, "/api/v1/jobs").await.status() == StatusCode::OK
    });
    tokio::select! {
        () = takes => panic!("the connection ended"),
        () = served => {}
    }
    drop(senders);
    let mut all = Vec::new();
    until("all places are free", async || {
        all.push(get(&meanwhile, "/api/v1/jobs").await.status());
        all.last() == Some(&StatusCode::OK)
    })
    .await;
}

#[tokio::test]
async fn strangers_with_made_up_cookies_shut_out_neither_people_nor_other_strangers() {
    let (mut meanwhile, _store, _ada) = start(&[("MEANWHILE_SEND_TIMEOUT_S", "300")]).await;
    meanwhile.spawn(false).await;
    let mut senders = Vec::new();
    for network in 2..6 {
        for number in 0..128 {
            let cookie = seed::cookie(&format!("made-up-{network}-{number}"));
            let head = format!(
                "POST /sign-in HTTP/1.1\r\nCookie: {cookie}\r\nContent-Length: 9\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n"
            );
            senders.push(send(&meanwhile, [127, 0, 0, network], &head).await);
        }
    }
    for _ in 0..20 {
        assert_eq!(get(&meanwhile, "/api/v1/jobs").await.status(), StatusCode::OK);
    }
    // One of them goes for somebody else, as soon as it has been silent.
    let head = "GET /sign-in HTTP/1.1\r\nConnection: close\r\n";
    for _ in 0..20 {
        let mut stranger = send(&meanwhile, [127, 0, 0, 9], head).await;
        let mut answer = [0; 15];
        let asked = timeout(Duration::from_secs(30), stranger.read_exact(&mut answer)).await;
        asked.expect("an answer").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    drop(senders);
}
