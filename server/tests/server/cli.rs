//! The command line on the API: each test runs the binary as a person or a script would, and
//! checks that no output has the token.

mod events;
mod exit_codes;
mod profiles;
mod watch;

use crate::support::BINARY;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;
use testbed::{SandboxConfig, ServerProcess};

/// Starts a server whose channels are `speed` times as fast as real ones and never fail, and
/// signs Ada in.
async fn start_server(speed: f64) -> ServerProcess {
    let sandbox = SandboxConfig::without_faults(speed);
    ServerProcess::start(Path::new(BINARY), sandbox).await.unwrap()
}

/// Creates an API token of Ada.
async fn create_token(server: &ServerProcess) -> String {
    let body = json!({ "name": "terminal", "password": "correct-horse" });
    let created = server.api.post("/api/v1/tokens").json(&body).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    created.json::<Value>().await.unwrap()["secret"].as_str().unwrap().to_owned()
}

/// A person's terminal: a home folder, and a token that must appear in no output.
struct Terminal {
    home: TempDir,
    url: String,
    token: String,
    /// Whether the environment has the URL and the token.
    has_environment: bool,
}

/// What a command printed.
struct Printed {
    exit_code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Terminal {
    async fn open(server: &ServerProcess) -> Self {
        let token = create_token(server).await;
        let home = tempfile::tempdir().unwrap();
        Self { home, url: server.api.base_url(), token, has_environment: true }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME");
        command.env_remove("MEANWHILE_URL").env_remove("MEANWHILE_TOKEN");
        if self.has_environment {
            command.env("MEANWHILE_URL", &self.url).env("MEANWHILE_TOKEN", &self.token);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    fn run(&self, arguments: &[&str]) -> Printed {
        self.printed(self.command(arguments).output().unwrap())
    }

    /// Runs a command to its end, with `input` on stdin.
    fn run_with_input(&self, arguments: &[&str], input: &str) -> Printed {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.printed(child.wait_with_output().unwrap())
    }

    fn printed(&self, output: Output) -> Printed {
        let printed = Printed {
            exit_code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let Printed { stdout, stderr, .. } = &printed;
        assert!(!stdout.contains(&self.token), "the token is in the output: {stdout}");
        assert!(!stderr.contains(&self.token), "the token is in the errors: {stderr}");
        printed
    }

    /// Writes a file into the home folder.
    fn write_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Printed {
    /// Checks the exit code, and returns what is on stdout.
    fn expect(&self, exit_code: i32) -> &str {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.exit_code, Some(exit_code), "{stdout}\n{stderr}");
        stdout
    }

    /// Returns the JSON document on stdout.
    fn json(&self) -> Value {
        serde_json::from_str(self.expect(0)).unwrap()
    }
}
