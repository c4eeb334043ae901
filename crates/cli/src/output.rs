//! What goes to stdout and stderr. Nothing here can panic on a closed pipe.

use crate::error::{Completion, Error};
use clap_complete::Shell;
use serde::Serialize;
use std::io::{self, Write, stderr, stdout};

/// Prints a line on stdout.
///
/// # Errors
/// Stdout can't be written.
pub fn print_line(line: &str) -> Result<(), Error> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{line}")?;
    // A reader of a pipe wants each line when it happens.
    Ok(stdout.flush()?)
}

/// Prints bytes on stdout as they are.
///
/// # Errors
/// Stdout can't be written.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    Ok(stdout().lock().write_all(bytes)?)
}

/// Prints a value as JSON, in one line.
///
/// # Errors
/// Stdout can't be written.
pub fn print_json(value: &impl Serialize) -> Result<(), Error> {
    print_line(&serde_json::to_string(value).map_err(io::Error::from)?)
}

/// Prints a line on stderr. That stderr can't be written is no reason to end.
pub fn print_note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Prints an error on stderr: in words, or as the server's own JSON if it has one.
pub fn print_error(error: &Error, as_json: bool) {
    match error {
        Error::Refused(refusal) if as_json && !refusal.body.is_null() => {
            print_note(&refusal.body.to_string());
        }
        // The person ended it: that is no error.
        Error::WatchInterrupted { .. } | Error::EventsInterrupted { .. } => {
            print_note(&error.to_string());
        }
        _ => print_note(&format!("Error: {error}")),
    }
}

/// Prints the completions of the whole command line for a shell.
///
/// # Errors
/// Stdout can't be written.
pub fn completions(shell: Shell, mut definition: clap::Command) -> Result<Completion, Error> {
    let mut script = Vec::new();
    let name = definition.get_name().to_owned();
    clap_complete::generate(shell, &mut definition, name, &mut script);
    print_bytes(&script)?;
    Ok(Completion::Success)
}
