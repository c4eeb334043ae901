//! The comparison that the page `/compare` shows: `meanwhile compare --json` as a child process,
//! so that page and command are the same.

use crate::config::DEFAULT_COMPARISON_SPEED;
use app::page::compare::ComparisonStatus;
use contract::comparison::ComparisonLine;
use parking_lot::Mutex;
use std::{io, process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

/// Starts comparisons, one at a time, and keeps the last result until the process ends; cheap
/// to clone.
#[derive(Clone)]
pub struct ComparisonRunner {
    status: Arc<Mutex<ComparisonStatus>>,
    speed: u32,
}

/// Why no comparison was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One comparison runs at a time.
    #[error("A comparison is running already. Its result will be here.")]
    Running,
    /// The process can't be started.
    #[error("The comparison can't be started: {0}.")]
    Spawn(#[from] io::Error),
}

impl ComparisonRunner {
    /// Returns a runner whose sandbox is as fast as the one of this installation, but not so
    /// slow that people would have to wait for many minutes.
    pub fn new(sandbox_speed: f64) -> Self {
        // `as` cuts the fraction off, and returns 0 or the maximum for what is out of range.
        let speed = (sandbox_speed as u32).clamp(DEFAULT_COMPARISON_SPEED, 1_000);
        Self { status: Arc::default(), speed }
    }

    /// Returns what the page shows.
    pub fn status(&self) -> ComparisonStatus {
        self.status.lock().clone()
    }

    /// Starts a comparison, unless one is running.
    ///
    /// # Errors
    /// One is running, or the process can't be started.
    pub fn start(&self) -> Result<(), StartError> {
        let mut status = self.status.lock();
        if status.is_running {
            return Err(StartError::Running);
        }
        let mut command = Command::new(std::env::current_exe()?);
        compare::remove_settings(&mut command);
        let child = command
            .args(["compare", "--json", "--speed", &self.speed.to_string()])
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // It is not killed with this process, because it has to end its own processes: it
            // does so when nobody reads its output any more.
            .process_group(0)
            .spawn()?;
        status.is_running = true;
        status.progress = None;
        status.problem = None;
        tokio::spawn(self.clone().follow(child));
        Ok(())
    }

    /// Reads what the comparison prints to its end.
    async fn follow(self, mut child: Child) {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read_lines = async {
            let Some(stdout) = stdout else { return };
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str(&line) {
                    Ok(line) => self.apply(line),
                    Err(error) => tracing::warn!(%error, "the comparison printed another line"),
                }
            }
        };
        let read_errors = async {
            let mut errors = String::new();
            if let Some(mut stderr) = stderr {
                // What can't be read is not shown.
                let _ = stderr.read_to_string(&mut errors).await;
            }
            errors
        };
        let ((), errors) = tokio::join!(read_lines, read_errors);
        let exit = child.wait().await;
        let mut status = self.status.lock();
        status.is_running = false;
        status.progress = None;
        if !exit.is_ok_and(|exit| exit.success()) {
            let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            let why = last.trim_start_matches("Error: ");
            tracing::warn!(why, "the comparison failed");
            status.problem = Some(why.to_owned());
        }
    }

    fn apply(&self, line: ComparisonLine) {
        let mut status = self.status.lock();
        match line {
            ComparisonLine::Progress(progress) => status.progress = Some(progress),
            ComparisonLine::Result(comparison) => status.last = Some(Arc::new(comparison)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_a_whole_number_within_its_bounds() {
        let speed = |sandbox_speed| ComparisonRunner::new(sandbox_speed).speed;
        assert_eq!(speed(40.9), 40);
        assert_eq!(speed(0.5), DEFAULT_COMPARISON_SPEED);
        assert_eq!(speed(1e12), 1_000);
    }
}
