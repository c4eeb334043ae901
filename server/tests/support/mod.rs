//! The binary as a process of a test's own.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod seed;

use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use std::{
    fs::OpenOptions,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server with its sandbox; killed when it is dropped.
pub struct Meanwhile {
    pub child: Option<Child>,
    pub port: u16,
    pub sandbox: u16,
    /// Address that is listened on.
    pub listen: &'static str,
    pub folder: TempDir,
    pub client: Client,
    pub cookie: String,
    /// Further variables of its environment.
    pub env: Vec<(&'static str, String)>,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Meanwhile {
    /// One that Ada is signed in to.
    pub async fn start() -> Self {
        let mut meanwhile = Self::new("127.0.0.1");
        meanwhile.spawn(true).await;
        let who = json!({ "email": "ada@example.com", "password": "correct-horse" });
        let response = meanwhile.post("/api/v1/session").json(&who).send().await.unwrap();
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
            sandbox: free_port(),
            folder: tempfile::tempdir().unwrap(),
            client: Client::new(),
            cookie: String::new(),
            env: Vec::new(),
        }
    }

    pub async fn spawn(&mut self, account: bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meanwhile"));
        command
            .env("MEANWHILE_LISTEN", format!("{}:{}", self.listen, self.port))
            .env("MEANWHILE_DATA", self.folder.path())
            .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", self.sandbox))
            .env("MEANWHILE_SANDBOX_SPEED", "20")
            .env("MEANWHILE_SANDBOX_SEED", "7")
            .env("RUST_LOG", "warn")
            .envs(self.env.iter().cloned())
            .stderr(self.log_file());
        if account {
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
        let path = self.folder.path().join("log");
        OpenOptions::new().create(true).append(true).open(path).unwrap().into()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
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

    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(self.url(path)).header(header::COOKIE, &self.cookie);
        request.send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
