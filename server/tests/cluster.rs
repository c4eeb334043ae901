//! Several processes on shared servers: what one of them does, all know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use contract::live::Close;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use servers::{PostgresNode, RabbitNode, RedisNode, free_port};
use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};
use support::seed;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

const WAIT: Duration = Duration::from_secs(60);

/// Ended when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Cluster {
    web: [u16; 2],
    sandbox: u16,
    database: String,
    client: Client,
    web_processes: Vec<Process>,
    _processes: Vec<Process>,
    _servers: (PostgresNode, RabbitNode, RedisNode),
}

impl Cluster {
    async fn start() -> Self {
        let servers = tokio::task::spawn_blocking(|| {
            (PostgresNode::start(), RabbitNode::start(), RedisNode::start())
        });
        let servers = servers.await.unwrap();
        let (sandbox, web) = (free_port(), [free_port(), free_port()]);
        let database = servers.0.url();
        let folder = tempfile::tempdir().unwrap().keep();
        let shared = [
            ("MEANWHILE_DATABASE", database.clone()),
            ("MEANWHILE_BROKER", servers.1.url()),
            ("MEANWHILE_GATE", servers.2.url()),
            ("MEANWHILE_SANDBOX_URL", format!("http://127.0.0.1:{sandbox}")),
            ("MEANWHILE_SANDBOX_SPEED", "20".into()),
            ("RUST_LOG", "warn".into()),
        ];
        let start = |role: &str, more: &[(&str, String)]| {
            let child = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
                .arg(role)
                .env("MEANWHILE_DATA", &folder)
                .envs(more.iter().map(|(name, value)| (name, value)))
                .spawn();
            Process(child.unwrap())
        };
        // It knows what all know, its own address too, as where all units of a
        // machine have one file of variables.
        let mut outside = shared.to_vec();
        outside.push(("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{sandbox}")));
        outside.push(("MEANWHILE_SANDBOX_FAULTS", "false".into()));
        let mut processes = vec![start("sandbox", &outside)];
        let mut web_processes = Vec::new();
        for port in web {
            let mut own = shared.to_vec();
            own.push(("MEANWHILE_LISTEN", format!("127.0.0.1:{port}")));
            web_processes.push(start("serve", &own));
        }
        processes.push(start("work", &shared));
        processes.push(start("work", &shared));
        let cluster = Self {
            web,
            sandbox,
            database,
            client: Client::new(),
            web_processes,
            _processes: processes,
            _servers: servers,
        };
        for port in web {
            let url = format!("http://127.0.0.1:{port}/readyz");
            until("a web node is ready", async || {
                cluster.client.get(&url).send().await.is_ok_and(|r| r.status() == StatusCode::OK)
            })
            .await;
        }
        cluster
    }

    fn url(&self, node: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.web[node])
    }

    async fn post(&self, node: usize, who: &str, path: &str, body: Value) -> reqwest::Response {
        self.client
            .post(self.url(node, path))
            .header(header::ORIGIN, self.url(node, ""))
            .header(header::COOKIE, seed::cookie(who))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, node: usize, who: &str, path: &str) -> Value {
        let request = self.client.get(self.url(node, path));
        request
            .header(header::COOKIE, seed::cookie(who))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn socket(&self, node: usize, who: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let mut request =
            format!("ws://127.0.0.1:{}/ws", self.web[node]).into_client_request().unwrap();
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        request.headers_mut().insert("origin", value(&self.url(node, "")));
        request.headers_mut().insert("cookie", value(&seed::cookie(who)));
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        socket.send(Message::text(r#"{"type":"hello","v":1}"#)).await.unwrap();
        let welcome = socket.next().await.unwrap().unwrap();
        assert!(welcome.to_text().unwrap().contains("welcome"), "{welcome:?}");
        socket
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < WAIT, "{what}: not within {WAIT:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_does_all_know() {
    let mut cluster = Cluster::start().await;
    let store = seed::store_at(&cluster.database).await;
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let bob = seed::user_at(&cluster.database, "bob@example.com").await;
    for (user, token) in [(ada, "ada"), (ada, "ada-elsewhere"), (bob, "bob")] {
        seed::sign_in(&store, user, token).await;
    }

    // Two people start one machine at once, each on another node: it is
    // started once, and both are told.
    let machines = cluster.get(0, "ada", "/api/v1/instances").await;
    let machine = machines["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|machine| machine["state"] == "stopped")
        .unwrap()["id"]
        .clone();
    let start = json!({ "instance_ids": [machine] });
    let (first, second) = tokio::join!(
        cluster.post(0, "ada", "/api/v1/jobs/ec2-starts", start.clone()),
        cluster.post(1, "bob", "/api/v1/jobs/ec2-starts", start.clone()),
    );
    for (node, who, launched) in [(1, "ada", first), (0, "bob", second)] {
        assert_eq!(launched.status(), StatusCode::ACCEPTED);
        let job: Value = launched.json().await.unwrap();
        let path = format!("/api/v1/jobs/{}", job["job"]["id"].as_str().unwrap());
        until("a start comes to its end", async || {
            cluster.get(node, who, &path).await["state"] != "running"
        })
        .await;
        let inbox = cluster.get(node, who, "/api/v1/notifications").await;
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1, "{inbox}");
    }
    let ledger: Value = cluster
        .client
        .get(format!("http://127.0.0.1:{}/ledger", cluster.sandbox))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let started = ledger["ec2"]["effects"].as_array().unwrap().iter();
    // Also what changed nothing: it is not even asked for twice.
    let started = started.filter(|effect| effect["sku"] == machine);
    assert_eq!(started.count(), 1, "{}", ledger["ec2"]["effects"]);

    // Two tabs on two nodes get the same stream.
    let mut tabs = [cluster.socket(0, "ada").await, cluster.socket(1, "ada").await];
    let read =
        cluster.post(0, "ada", "/api/v1/notifications/read", json!({ "up_to": 1_000 })).await;
    assert_eq!(read.status(), StatusCode::NO_CONTENT);
    let mut heard = Vec::new();
    for tab in &mut tabs {
        heard.push(fact(tab).await);
    }
    assert_eq!(heard[0], heard[1]);

    // Who signs out on one node is signed out on the other.
    let mut elsewhere = cluster.socket(1, "ada-elsewhere").await;
    let ended = cluster
        .client
        .delete(cluster.url(0, "/api/v1/session"))
        .header(header::ORIGIN, cluster.url(0, ""))
        .header(header::COOKIE, seed::cookie("ada-elsewhere"))
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    let closed = tokio::time::timeout(Duration::from_secs(10), close_of(&mut elsewhere));
    assert_eq!(closed.await.expect("the other node's socket stays open"), Close::SignIn.code());

    // A node that is asked to end tells each of its sockets to come back, and
    // those of the other node go on.
    let mut sockets = Vec::new();
    for _ in 0..30 {
        sockets.push(cluster.socket(0, "ada").await);
    }
    let mut other = cluster.socket(1, "ada").await;
    let node = &mut cluster.web_processes[0].0;
    let asked = Command::new("kill").args(["-TERM", &node.id().to_string()]).status().unwrap();
    assert!(asked.success());
    for socket in &mut sockets {
        let closed = tokio::time::timeout(WAIT, close_of(socket)).await.unwrap();
        assert_eq!(closed, Close::GoingAway.code());
    }
    until("the node ends", async || node.try_wait().unwrap().is_some()).await;
    let launched = cluster.post(1, "ada", "/api/v1/jobs/ec2-starts", start).await;
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    fact(&mut other).await;
}

/// The next fact, whatever else is told.
async fn fact(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Value {
    let end = tokio::time::Instant::now() + WAIT;
    loop {
        // Other frames come all the time.
        let next = tokio::time::timeout_at(end, socket.next()).await;
        let message = next.expect("no fact comes").unwrap().unwrap();
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        if frame["type"] == "fact" {
            return frame;
        }
    }
}

async fn close_of(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> u16 {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}
