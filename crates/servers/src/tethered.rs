//! Children that do not outlive whoever started them, however that ended.
//!
//! A guard of its own holds one end of a pipe whose other end is this process:
//! when the pipe ends, the guard kills what was begun and has not ended, and
//! takes off what was mounted.

use std::{
    fmt::Display,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Lines of `+` or `-` and a process group's number, or a mounted folder.
const GUARD: &str = r#"
while read -r word thing; do
  others=
  for other in $things; do [ "$other" = "$thing" ] || others="$others $other"; done
  things=$others
  [ "$word" = - ] || things="$things $thing"
done
for thing in $things; do case $thing in /*) ;; *) kill -s KILL -- "-$thing" ;; esac; done
for thing in $things; do case $thing in /*) umount -l "$thing" && rmdir "$thing" ;; esac; done
"#;

static TO_GUARD: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// A child with all that it starts in its process group. Ends with this value,
/// and with this process.
pub struct Tethered(Child);

impl Tethered {
    /// Starts `command` with no input.
    ///
    /// # Errors
    /// The command, or a shell, can't be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut guard = guard()?;
        let child = Self(command.stdin(Stdio::null()).process_group(0).spawn()?);
        tell(&mut guard, '+', child.id())?;
        Ok(child)
    }

    /// Its process id, which names its group too.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// # Errors
    /// As of [`Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Sends a signal by its name, such as `STOP`, to the whole group; whether
    /// there was anyone.
    pub fn signal(&self, name: &str) -> bool {
        // The shell's own word: the program `kill` of procps 4.0.2 takes a
        // group such as -123 for -1, which is everybody.
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"kill -s "$0" -- "-$1""#, name, &self.id().to_string()]);
        shell.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// `kill -9` of the whole group.
    pub fn kill(&mut self) {
        // Whatever is gone already can't be killed.
        self.signal("KILL");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        self.kill();
        // The number may be another's from now on.
        if let Ok(mut guard) = guard() {
            let _ = tell(&mut guard, '-', self.id());
        }
    }
}

/// Where the guard listens; starts it where there is none yet.
fn guard() -> io::Result<MutexGuard<'static, Option<ChildStdin>>> {
    let mut guard = TO_GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        // In a group of its own: what is sent to ours must not stop it first.
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD]).process_group(0).stdin(Stdio::piped());
        *guard = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?.stdin;
    }
    Ok(guard)
}

fn tell(guard: &mut Option<ChildStdin>, word: char, thing: impl Display) -> io::Result<()> {
    let Some(pipe) = guard else { return Ok(()) };
    writeln!(pipe, "{word} {thing}")
}

/// Something is mounted there.
pub(crate) fn mounted(folder: &Path) -> io::Result<()> {
    tell(&mut *guard()?, '+', folder.display())
}

pub(crate) fn unmounted(folder: &Path) -> io::Result<()> {
    tell(&mut *guard()?, '-', folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader},
        thread::sleep,
        time::{Duration, Instant},
    };

    const NAME: &str = "tethered::tests::children_end_with_whoever_started_them_however_that_was";
    const ROLE: &str = "MEANWHILE_TEST_TETHERED";

    fn lives(pid: &str) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"kill -s 0 -- "$0""#, pid]).stderr(Stdio::null());
        shell.status().unwrap().success()
    }

    #[test]
    fn children_end_with_whoever_started_them_however_that_was() {
        if std::env::var_os(ROLE).is_some() {
            // What starts a child of its own, as `faketime` does.
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 600 & echo child $!; wait"]);
            let _child = Tethered::spawn(&mut command).unwrap();
            loop {
                sleep(Duration::from_secs(1));
            }
        }
        let mut starter = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(starter.stdout.take().unwrap()).lines();
        let child = lines.map_while(Result::ok).find_map(|line| {
            // Tests print the beginning of the line.
            line.split_once("child ").map(|(_, pid)| pid.trim().to_owned())
        });
        let child = child.unwrap();
        assert!(lives(&child));
        starter.kill().unwrap();
        starter.wait().unwrap();
        let start = Instant::now();
        while lives(&child) {
            assert!(start.elapsed() < Duration::from_secs(60), "{child} outlives its starter");
            sleep(Duration::from_millis(20));
        }
    }
}
