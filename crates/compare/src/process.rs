//! A server in a process of its own, which can be killed and started again on the same data.

use crate::run::Error;
use contract::comparison::Way;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::oneshot,
};

/// Time limit of a start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// End of the log that is quoted if a start fails.
const QUOTED_LINES: usize = 8;
/// What both kinds of servers log, before their URL, when they are ready.
const READY: &str = " is ready: http://";
/// Prefixes of the environment variables that configure an installation.
const SETTING_PREFIXES: [&str; 2] = ["MEANWHILE_", "OTEL_"];

/// What all servers of one scenario have in common.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The binary `meanwhile`.
    pub binary: PathBuf,
    /// The way.
    pub way: Way,
    /// Folder of the server's data.
    pub data: PathBuf,
    /// URL of the services.
    pub sandbox_url: String,
    /// Speed of the services.
    pub speed: u32,
    /// Password of the account, where there is one.
    pub password: String,
}

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// URL without a trailing slash.
    pub url: String,
}

impl Server {
    /// Starts the server on a free port of this machine, and returns when it is ready.
    ///
    /// # Errors
    /// The process can't be started, ends at once or is not ready in time.
    pub async fn start(options: &ServerOptions) -> Result<Self, Error> {
        let failed = |why: String| Error::Server { way: options.way, why };
        let mut child = command(options).spawn().map_err(|error| failed(error.to_string()))?;
        let Some(stderr) = child.stderr.take() else {
            return Err(failed("its log can't be read".into()));
        };
        let log = Arc::<Mutex<VecDeque<String>>>::default();
        let (sender, ready) = oneshot::channel();
        tokio::spawn(read_log(stderr, Arc::clone(&log), sender));
        match tokio::time::timeout(START_TIMEOUT, ready).await {
            Ok(Ok(url)) => Ok(Self { child, url }),
            // The log ended.
            Ok(Err(_)) => Err(failed(log.lock().make_contiguous().join("\n"))),
            Err(_) => Err(failed(format!("it was not ready within {START_TIMEOUT:?}"))),
        }
    }

    /// Kills the process with SIGKILL, and returns when it is gone.
    ///
    /// # Errors
    /// The process can't be killed.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::Kill)
    }
}

/// Removes the settings of an installation from the environment of a command: they would lead to
/// its database, and to the collector of its telemetry.
pub fn remove_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_setting(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
}

fn is_setting(name: &str) -> bool {
    SETTING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn command(options: &ServerOptions) -> Command {
    let ServerOptions { binary, way, data, sandbox_url, speed, password } = options;
    let mut command = Command::new(binary);
    remove_settings(&mut command);
    command
        .env("MEANWHILE_LISTEN", "127.0.0.1:0")
        .env("MEANWHILE_SANDBOX_URL", sandbox_url)
        .env("MEANWHILE_SANDBOX_SPEED", speed.to_string())
        .env("MEANWHILE_DATA", absolute(data))
        .env("RUST_LOG", "error,server=info,compare=info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal reaches the whole group: the servers are ended in order.
        .process_group(0)
        .kill_on_drop(true);
    match way {
        Way::Synchronous => command.args(["compare", "--serve", "synchronous"]),
        Way::Asynchronous => command.args(["compare", "--serve", "asynchronous"]),
        // Everything in one process: pages, API, relay, workers.
        Way::ByEvents => command
            .env("MEANWHILE_ADMIN_EMAIL", crate::by_events::EMAIL)
            .env("MEANWHILE_ADMIN_PASSWORD", password),
    };
    command
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Reads the log to its end, so that the server never waits for a reader. Sends the server's URL
/// when it is ready, and keeps the last lines.
async fn read_log(
    stderr: ChildStderr,
    log: Arc<Mutex<VecDeque<String>>>,
    ready: oneshot::Sender<String>,
) {
    let mut ready = Some(ready);
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, address)) = line.split_once(READY)
            && let Some(ready) = ready.take()
        {
            let address = address.split_whitespace().next().unwrap_or_default();
            // The start may have been given up.
            let _ = ready.send(format!("http://{address}"));
        }
        let mut log = log.lock();
        log.push_back(line);
        if log.len() > QUOTED_LINES {
            log.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_setting;

    #[test]
    fn settings_are_those_of_the_product_and_of_its_telemetry() {
        for name in ["MEANWHILE_DATABASE", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"] {
            assert!(is_setting(name), "{name}");
        }
        for name in ["PATH", "TMPDIR", "SSL_CERT_FILE", "RUST_LOG", "HOTEL_NAME"] {
            assert!(!is_setting(name), "{name}");
        }
    }
}
