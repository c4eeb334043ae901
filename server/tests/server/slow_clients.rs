//! Clients that don't read their answers, or don't finish their requests, block
//! nobody else and are disconnected.

use crate::{seed, support::new_server};
use contract::UserId;
use engine::store::Store;
use reqwest::{Response, StatusCode, header};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use testbed::{ServerProcess, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Prepares a server with Ada's account and a sandbox so slow that no task
/// finishes.
async fn prepare_server(env: &[(&'static str, &str)]) -> (ServerProcess, Store, UserId) {
    let mut meanwhile = new_server();
    let store = seed::open_store(&meanwhile).await;
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    seed::create_session(&store, ada, "ada").await;
    meanwhile.api.cookie = seed::session_cookie("ada");
    meanwhile.set_env("MEANWHILE_SANDBOX_SPEED", "0.001");
    for (name, value) in env {
        meanwhile.set_env(name, *value);
    }
    (meanwhile, store, ada)
}

/// Sends `head` from the loopback address `from` and reads nothing: the small
/// receive buffer leaves the answer with the server.
async fn send_without_reading(meanwhile: &ServerProcess, from: [u8; 4], head: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::from(from), 0))).unwrap();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, meanwhile.api.port));
    let mut stream = socket.connect(server).await.unwrap();
    let host = format!("Host: 127.0.0.1:{}\r\n", meanwhile.api.port);
    let origin = format!("Origin: http://127.0.0.1:{}\r\n", meanwhile.api.port);
    let (line, rest) = head.split_once("\r\n").unwrap();
    let head = format!("{line}\r\n{host}{origin}{rest}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn get(meanwhile: &ServerProcess, path: &str) -> Response {
    let request = meanwhile.api.client.get(meanwhile.api.url(path));
    request.header(header::COOKIE, &meanwhile.api.cookie).send().await.unwrap()
}

fn get_request_head(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nCookie: {}\r\n", seed::session_cookie("ada"))
}

#[tokio::test]
async fn unread_download_times_out_and_releases_its_permit() {
    let (mut meanwhile, store, ada) =
        prepare_server(&[("MEANWHILE_RESPONSE_WRITE_TIMEOUT_S", "10")]).await;
    let job = seed::create_failed_job(&store, ada, 60, &"a lamp ".repeat(4_000)).await;
    seed::create_token(&store, ada, "secret").await;
    meanwhile.spawn().await.unwrap();
    let path = format!("/jobs/{job}/failed.csv");
    let mut senders = Vec::new();
    for _ in 0..4 {
        let mut sender =
            send_without_reading(&meanwhile, [127, 0, 0, 1], &get_request_head(&path)).await;
        let mut status_line = [0; 15];
        sender.read_exact(&mut status_line).await.unwrap();
        assert_eq!(&status_line, b"HTTP/1.1 200 OK");
        senders.push(sender);
    }
    let rejected = get(&meanwhile, &path).await;
    assert_eq!(rejected.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(rejected.headers().contains_key(header::RETRY_AFTER));
    let words = rejected.text().await.unwrap();
    assert!(words.contains("You have 4 downloads in progress"), "{words}");
    // All four connections are still open on the client's side, and unread.
    wait_until("all four downloads time out", async || {
        let request = meanwhile.api.client.get(meanwhile.api.url("/metrics")).bearer_auth("secret");
        let metrics = request.send().await.unwrap().text().await.unwrap();
        let count = metrics
            .lines()
            .find_map(|line| line.strip_prefix("meanwhile_response_write_timeouts_total "))
            .expect("the counter does not exist");
        count == "4"
    })
    .await;
    wait_until("a permit is free", async || {
        get(&meanwhile, &path).await.status() == StatusCode::OK
    })
    .await;
    for mut sender in senders {
        // The rest is what the kernel had buffered. Writing provokes another reset,
        // in case the first one was lost behind the full receive buffer.
        let _ = sender.write_all(b"?").await;
        let mut rest = Vec::new();
        let end = timeout(Duration::from_secs(30), sender.read_to_end(&mut rest)).await;
        let _ = end.expect("the connection stays open");
        assert!(rest.len() < 1_000_000, "{} bytes", rest.len());
    }
}

#[tokio::test]
async fn request_holds_its_permit_until_its_response_is_read() {
    let (mut meanwhile, store, ada) =
        prepare_server(&[("MEANWHILE_RESPONSE_WRITE_TIMEOUT_S", "600")]).await;
    let job = seed::create_failed_job(&store, ada, 100, "for the desk").await;
    meanwhile.spawn().await.unwrap();
    let path = format!("/api/v1/jobs/{job}/tasks?limit=200");
    let mut senders = Vec::new();
    for _ in 0..64 {
        let mut sender =
            send_without_reading(&meanwhile, [127, 0, 0, 1], &get_request_head(&path)).await;
        let mut status_line = [0; 15];
        sender.read_exact(&mut status_line).await.unwrap();
        assert_eq!(&status_line, b"HTTP/1.1 200 OK");
        senders.push(sender);
    }
    let rejected = get(&meanwhile, "/api/v1/jobs").await;
    assert_eq!(rejected.status(), StatusCode::TOO_MANY_REQUESTS);
    // One client reads its answer, which frees one permit.
    let mut reader = senders.pop().unwrap();
    let mut rest = vec![0; 64 * 1024];
    let read_answer = async { while reader.read(&mut rest).await.unwrap() > 0 {} };
    let served = wait_until("a permit is free", async || {
        get(&meanwhile, "/api/v1/jobs").await.status() == StatusCode::OK
    });
    tokio::select! {
        () = read_answer => panic!("the connection ended"),
        () = served => {}
    }
    drop(senders);
    let mut statuses = Vec::new();
    wait_until("all permits are free", async || {
        statuses.push(get(&meanwhile, "/api/v1/jobs").await.status());
        statuses.last() == Some(&StatusCode::OK)
    })
    .await;
}

#[tokio::test]
async fn invalid_session_cookies_do_not_block_other_clients() {
    let (mut meanwhile, _store, _ada) =
        prepare_server(&[("MEANWHILE_REQUEST_BODY_TIMEOUT_S", "300")]).await;
    meanwhile.spawn().await.unwrap();
    let mut senders = Vec::new();
    for network in 2..6 {
        for number in 0..128 {
            let cookie = seed::session_cookie(&format!("made-up-{network}-{number}"));
            let head = format!(
                "POST /sign-in HTTP/1.1\r\nCookie: {cookie}\r\nContent-Length: 9\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n"
            );
            senders.push(send_without_reading(&meanwhile, [127, 0, 0, network], &head).await);
        }
    }
    for _ in 0..20 {
        assert_eq!(get(&meanwhile, "/api/v1/jobs").await.status(), StatusCode::OK);
    }
    // The server closes idle connections of theirs to make room for other clients.
    let head = "GET /sign-in HTTP/1.1\r\nConnection: close\r\n";
    for _ in 0..20 {
        let mut stranger = send_without_reading(&meanwhile, [127, 0, 0, 9], head).await;
        let mut answer = [0; 15];
        let read = timeout(Duration::from_secs(30), stranger.read_exact(&mut answer)).await;
        read.expect("no answer").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    drop(senders);
}
