//! Reads a secret from stdin, without showing it on a terminal.

use crate::error::Error;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal, Stdin, Write, stderr, stdin};

/// Turns the echo of a terminal off, and on again when it is dropped.
struct HiddenInput {
    stdin: Stdin,
    before: Termios,
}

impl HiddenInput {
    fn begin() -> io::Result<Self> {
        let stdin = stdin();
        let before = tcgetattr(&stdin)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // The end of the line is shown, so that the next output begins a line.
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.stdin, OptionalActions::Flush, &self.before);
    }
}

/// Reads one line from stdin. If it is a terminal, `question` is asked first, and what is typed
/// is not shown.
///
/// # Errors
/// Stdin can't be read, or has no line.
pub fn read_secret(question: &str) -> Result<String, Error> {
    let unreadable = |error: io::Error| Error::Usage(format!("stdin can't be read: {error}."));
    let stdin = stdin();
    let hidden = match stdin.is_terminal() {
        true => {
            let _ = write!(stderr(), "{question}");
            Some(HiddenInput::begin().map_err(unreadable)?)
        }
        false => None,
    };
    let mut line = String::new();
    let read = stdin.read_line(&mut line).map_err(unreadable);
    drop(hidden);
    read?;
    match line.trim() {
        "" => Err(Error::Usage("Stdin has no token. Paste or pipe one.".into())),
        secret => Ok(secret.to_owned()),
    }
}
