//! Starts the server binary as a process for one test.

use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use std::{
    fs::OpenOptions,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
pub use testbed::free_port;

/// A server with its sandbox. Dropping it kills the process.
pub struct ServerProcess {
    pub child: Option<Child>,
    pub port: u16,
    pub sandbox_port: u16,
    /// IP address on which the server listens.
    pub listen: &'static str,
    pub data_dir: TempDir,
    pub client: Client,
    pub cookie: String,
    /// Additional environment variables.
    pub env: Vec<(&'static str, String)>,
}

impl ServerProcess {
    /// Starts a server and signs Ada in.
    pub async fn start() -> Self {
        let mut meanwhile = Self::new("127.0.0.1");
        meanwhile.spawn(true).await;
        let credentials = json!({ "email": "ada@example.com", "password": "correct-horse" });
        let response = meanwhile.post("/api/v1/session").json(&credentials).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        meanwhile.cookie = cookie.split(';').next().unwrap().to_owned();
        meanwhile
    }

    pub fn new(listen: &'static str) -> Self {
        Self {
            listen,
            child: None,
            port: free_port(),
            sandbox_port: free_port(),
            data_dir: tempfile::tempdir().unwrap(),
            client: Client::new(),
            cookie: String::new(),
            env: Vec::new(),
        }
    }

    /// Starts the process and waits until it is ready. `with_account` configures
    /// Ada's account.
    pub async fn spawn(&mut self, with_account: bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meanwhile"));
        command
            .env("MEANWHILE_LISTEN", format!("{}:{}", self.listen, self.port))
            .env("MEANWHILE_DATA", self.data_dir.path())
            .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", self.sandbox_port))
            .env("MEANWHILE_SANDBOX_SPEED", "20")
            .env("MEANWHILE_SANDBOX_SEED", "7")
            .env("RUST_LOG", "warn")
            .envs(self.env.iter().cloned())
            .stderr(self.log_file());
        if with_account {
            command
                .env("MEANWHILE_ADMIN_EMAIL", "ada@example.com")
                .env("MEANWHILE_ADMIN_PASSWORD", "correct-horse");
        }
        self.child = Some(command.spawn().unwrap());
        let start = Instant::now();
        while !matches!(self.client.get(self.url("/readyz")).send().await, Ok(r) if r.status() == 200)
        {
            assert!(start.elapsed() < Duration::from_secs(30), "the server did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log_file(&self) -> Stdio {
        let path = self.data_dir.path().join("log");
        OpenOptions::new().create(true).append(true).open(path).unwrap().into()
    }

    /// Returns what the server has logged so far.
    pub fn read_log(&self) -> String {
        std::fs::read_to_string(self.data_dir.path().join("log")).unwrap_or_default()
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .post(self.url(path))
            .header(header::ORIGIN, self.url(""))
            .header(header::COOKIE, &self.cookie)
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let request = self.client.get(self.url(path)).header(header::COOKIE, &self.cookie);
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// Waits up to a minute until `holds` returns true. `what` describes the condition.
pub async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.read_log());
        }
    }
}
