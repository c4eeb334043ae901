//! Several processes on shared servers: a change in one reaches all others.

use crate::{seed, support::wait_until};
use contract::websocket::CloseCode;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use std::{
    process::{Child, Command},
    time::Duration,
};
use testbed::{PostgresNode, RabbitNode, RedisNode, free_port};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A child process, killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Cluster {
    web_ports: [u16; 2],
    sandbox_port: u16,
    database_url: String,
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
        let database = servers.0.create_database();
        let folder = tempfile::tempdir().unwrap().keep();
        let shared = [
            ("MEANWHILE_DATABASE", database.clone()),
            ("MEANWHILE_BROKER", servers.1.url()),
            ("MEANWHILE_LIMITER", servers.2.url()),
            ("MEANWHILE_SANDBOX_URL", format!("http://127.0.0.1:{sandbox}")),
            ("MEANWHILE_SANDBOX_SPEED", "20".into()),
            ("RUST_LOG", "warn".into()),
        ];
        let start = |role: &str, env: &[(&str, String)]| {
            let child = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
                .arg(role)
                .env("MEANWHILE_DATA", &folder)
                .envs(env.iter().map(|(name, value)| (name, value)))
                .spawn();
            Process(child.unwrap())
        };
        // The sandbox gets the variables of all processes, its own URL too, as on
        // a machine whose systemd units share one environment file.
        let mut sandbox_env = shared.to_vec();
        sandbox_env.push(("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{sandbox}")));
        sandbox_env.push(("MEANWHILE_SANDBOX_FAULTS", "false".into()));
        let mut processes = vec![start("sandbox", &sandbox_env)];
        let mut web_processes = Vec::new();
        for port in web {
            let mut own = shared.to_vec();
            own.push(("MEANWHILE_LISTEN", format!("127.0.0.1:{port}")));
            web_processes.push(start("serve", &own));
        }
        processes.push(start("work", &shared));
        processes.push(start("work", &shared));
        let cluster = Self {
            web_ports: web,
            sandbox_port: sandbox,
            database_url: database,
            client: Client::new(),
            web_processes,
            _processes: processes,
            _servers: servers,
        };
        for port in web {
            let url = format!("http://127.0.0.1:{port}/readyz");
            wait_until("a web node is ready", async || {
                cluster.client.get(&url).send().await.is_ok_and(|r| r.status() == StatusCode::OK)
            })
            .await;
        }
        cluster
    }

    fn url(&self, node: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.web_ports[node])
    }

    async fn post(&self, node: usize, session: &str, path: &str, body: Value) -> reqwest::Response {
        self.client
            .post(self.url(node, path))
            .header(header::ORIGIN, self.url(node, ""))
            .header(header::COOKIE, seed::session_cookie(session))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn get_json(&self, node: usize, session: &str, path: &str) -> Value {
        let request = self.client.get(self.url(node, path));
        request
            .header(header::COOKIE, seed::session_cookie(session))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn open_socket(
        &self,
        node: usize,
        session: &str,
    ) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let mut request =
            format!("ws://127.0.0.1:{}/ws", self.web_ports[node]).into_client_request().unwrap();
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        request.headers_mut().insert("origin", value(&self.url(node, "")));
        request.headers_mut().insert("cookie", value(&seed::session_cookie(session)));
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        socket.send(Message::text(r#"{"type":"hello","v":1}"#)).await.unwrap();
        let welcome = socket.next().await.unwrap().unwrap();
        assert!(welcome.to_text().unwrap().contains("welcome"), "{welcome:?}");
        socket
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_one_process_reach_all_others() {
    let mut cluster = Cluster::start().await;
    let store = seed::open_store_at(&cluster.database_url).await;
    let ada = store.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let bob = seed::create_user_at(&cluster.database_url, "bob@example.com").await;
    for (user, token) in [(ada, "ada"), (ada, "ada-elsewhere"), (bob, "bob")] {
        seed::create_session(&store, user, token).await;
    }

    // Two users start the same machine at once on different nodes: it is
    // started once, and both are notified.
    let machines = cluster.get_json(0, "ada", "/api/v1/instances").await;
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
    for (node, session, launched) in [(1, "ada", first), (0, "bob", second)] {
        assert_eq!(launched.status(), StatusCode::ACCEPTED);
        let job: Value = launched.json().await.unwrap();
        let path = format!("/api/v1/jobs/{}", job["job"]["id"].as_str().unwrap());
        wait_until("the start job finishes", async || {
            cluster.get_json(node, session, &path).await["state"] != "running"
        })
        .await;
        let inbox = cluster.get_json(node, session, "/api/v1/notifications").await;
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1, "{inbox}");
    }
    let ledger: Value = cluster
        .client
        .get(format!("http://127.0.0.1:{}/ledger", cluster.sandbox_port))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let started = ledger["ec2"]["effects"].as_array().unwrap().iter();
    // The ledger also lists requests that changed nothing: EC2 was called once.
    let started = started.filter(|effect| effect["sku"] == machine);
    assert_eq!(started.count(), 1, "{}", ledger["ec2"]["effects"]);

    // Two tabs on different nodes get the same facts.
    let mut tabs = [cluster.open_socket(0, "ada").await, cluster.open_socket(1, "ada").await];
    let read =
        cluster.post(0, "ada", "/api/v1/notifications/read", json!({ "up_to": 1_000 })).await;
    assert_eq!(read.status(), StatusCode::NO_CONTENT);
    let mut facts = Vec::new();
    for tab in &mut tabs {
        facts.push(next_fact(tab).await);
    }
    assert_eq!(facts[0], facts[1]);

    // Signing out on one node closes the session's socket on the other.
    let mut elsewhere = cluster.open_socket(1, "ada-elsewhere").await;
    let ended = cluster
        .client
        .delete(cluster.url(0, "/api/v1/session"))
        .header(header::ORIGIN, cluster.url(0, ""))
        .header(header::COOKIE, seed::session_cookie("ada-elsewhere"))
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    let closed = tokio::time::timeout(Duration::from_secs(10), close_code(&mut elsewhere));
    assert_eq!(
        closed.await.expect("the other node's socket stays open"),
        CloseCode::SignInRequired.code()
    );

    // A node that gets SIGTERM asks each of its sockets to reconnect; those of
    // the other node stay open.
    let mut sockets = Vec::new();
    for _ in 0..30 {
        sockets.push(cluster.open_socket(0, "ada").await);
    }
    let mut other = cluster.open_socket(1, "ada").await;
    let node = &mut cluster.web_processes[0].0;
    let signalled = Command::new("kill").args(["-TERM", &node.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    for socket in &mut sockets {
        let closed = tokio::time::timeout(TIMEOUT, close_code(socket)).await.unwrap();
        assert_eq!(closed, CloseCode::GoingAway.code());
    }
    wait_until("the node exits", async || node.try_wait().unwrap().is_some()).await;
    let launched = cluster.post(1, "ada", "/api/v1/jobs/ec2-starts", start).await;
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    next_fact(&mut other).await;
}

/// Returns the next fact and skips all other frames.
async fn next_fact(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Value {
    let end = tokio::time::Instant::now() + TIMEOUT;
    loop {
        // One deadline for all frames, because others arrive all the time.
        let next = tokio::time::timeout_at(end, socket.next()).await;
        let message = next.expect("no fact arrives").unwrap().unwrap();
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        if frame["type"] == "fact" {
            return frame;
        }
    }
}

async fn close_code(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> u16 {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}
