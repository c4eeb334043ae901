//! Child processes that do not outlive this process, however it ends.
//!
//! A watchdog process reads from a pipe that this process writes to. When the
//! pipe closes, the watchdog kills the children that still run, and unmounts
//! what is still mounted.

use parking_lot::{Mutex, MutexGuard};
use std::{
    fmt::Display,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

/// Reads lines of `+` or `-` and the number of a process group, or a mounted folder.
const WATCHDOG_SCRIPT: &str = r#"
while read -r operation target; do
  others=
  for other in $targets; do [ "$other" = "$target" ] || others="$others $other"; done
  targets=$others
  [ "$operation" = - ] || targets="$targets $target"
done
for target in $targets; do case $target in /*) ;; *) kill -s KILL -- "-$target" ;; esac; done
for target in $targets; do case $target in /*) umount -l "$target" && rmdir "$target" ;; esac; done
"#;

static WATCHDOG_STDIN: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// A child process with all processes that it starts in its group. They are
/// killed when this value is dropped, and when this process ends.
pub struct ManagedProcess(Child);

impl ManagedProcess {
    /// Starts `command` with no input.
    ///
    /// # Errors
    /// The command, or a shell, can't be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut watchdog = lock_watchdog()?;
        let child = Self(command.stdin(Stdio::null()).process_group(0).spawn()?);
        send_to_watchdog(&mut watchdog, '+', child.id())?;
        Ok(child)
    }

    /// Returns the process id, which is also the id of the process group.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Returns the exit status, or `None` while the process runs.
    ///
    /// # Errors
    /// The errors of [`Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Sends a signal by its name, such as `STOP`, to the whole group. Returns
    /// whether the group has processes.
    pub fn signal(&self, name: &str) -> bool {
        // The shell's builtin: the program `kill` of procps 4.0.2 takes a group
        // such as -123 for -1, which means all processes.
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"kill -s "$0" -- "-$1""#, name, &self.id().to_string()]);
        shell.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Kills the whole group with `kill -9`.
    pub fn kill(&mut self) {
        // Fails if the processes have ended already.
        self.signal("KILL");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for ManagedProcess {
    fn drop(&mut self) {
        self.kill();
        // The kernel may give the id to another process from now on.
        if let Ok(mut watchdog) = lock_watchdog() {
            let _ = send_to_watchdog(&mut watchdog, '-', self.id());
        }
    }
}

/// Locks the pipe to the watchdog, and starts the watchdog if there is none yet.
fn lock_watchdog() -> io::Result<MutexGuard<'static, Option<ChildStdin>>> {
    let mut watchdog = WATCHDOG_STDIN.lock();
    if watchdog.is_none() {
        // In its own group: a signal to ours must not stop it first.
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHDOG_SCRIPT]).process_group(0).stdin(Stdio::piped());
        *watchdog = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?.stdin;
    }
    Ok(watchdog)
}

fn send_to_watchdog(
    watchdog: &mut Option<ChildStdin>,
    operation: char,
    target: impl Display,
) -> io::Result<()> {
    let Some(pipe) = watchdog else { return Ok(()) };
    writeln!(pipe, "{operation} {target}")
}

/// Has the watchdog unmount `folder` when this process ends.
pub(crate) fn register_mount(folder: &Path) -> io::Result<()> {
    send_to_watchdog(&mut *lock_watchdog()?, '+', folder.display())
}

/// Reverts [`register_mount`].
pub(crate) fn unregister_mount(folder: &Path) -> io::Result<()> {
    send_to_watchdog(&mut *lock_watchdog()?, '-', folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader},
        thread::sleep,
        time::{Duration, Instant},
    };

    const TEST_NAME: &str = "managed_process::tests::children_end_when_their_parent_is_killed";
    const CHILD_ENV: &str = "MEANWHILE_TEST_MANAGED_PROCESS";

    fn is_alive(pid: &str) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"kill -s 0 -- "$0""#, pid]).stderr(Stdio::null());
        shell.status().unwrap().success()
    }

    #[test]
    fn children_end_when_their_parent_is_killed() {
        if std::env::var_os(CHILD_ENV).is_some() {
            // The command starts its own child, as `faketime` does.
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 600 & echo child $!; wait"]);
            let _child = ManagedProcess::spawn(&mut command).unwrap();
            // The watchdog knows the child from here on.
            println!("registered");
            loop {
                sleep(Duration::from_secs(1));
            }
        }
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST_NAME, "--nocapture"])
            .env(CHILD_ENV, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut child, mut is_registered) = (None, false);
        for line in BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok) {
            is_registered |= line.contains("registered");
            // The test harness prints the beginning of the line.
            if let Some((_, pid)) = line.split_once("child ") {
                child = Some(pid.trim().to_owned());
            }
            if is_registered && child.is_some() {
                break;
            }
        }
        let child = child.unwrap();
        assert!(is_alive(&child));
        parent.kill().unwrap();
        parent.wait().unwrap();
        let start = Instant::now();
        while is_alive(&child) {
            assert!(start.elapsed() < Duration::from_secs(60), "{child} outlives its parent");
            sleep(Duration::from_millis(20));
        }
    }
}
