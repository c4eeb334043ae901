//! The command line on `/api/v1`, for people at a terminal and for scripts.
//!
//! | module | content |
//! | --- | --- |
//! | [`arguments`] | subcommands and their options |
//! | `profile`, `prompt` | which server, and which token; reading a token without showing it |
//! | `api_client` | requests to the API |
//! | `event_stream` | the WebSocket: reconnects, and continues where it was |
//! | `watch`, `progress` | a job to its end; how far it is |
//! | `launch`, `jobs`, `failures`, `events`, `tokens`, `login` | one subcommand each, or a few |
//! | `words`, `timestamp`, `output` | sentences; times; what goes to stdout |
//! | [`error`] | why a command did not succeed, and its exit code |
#![warn(missing_docs)]

mod api_client;
pub mod arguments;
pub mod error;
mod event_stream;
mod events;
mod failures;
mod jobs;
mod launch;
mod login;
mod output;
mod profile;
mod progress;
mod prompt;
mod timestamp;
mod tokens;
mod watch;
mod words;

pub use arguments::ClientCommand;

use error::Error;
use std::process::ExitCode;

/// Name of the environment variable with an API token, which must appear in no output.
pub const TOKEN_VARIABLE: &str = profile::TOKEN_VARIABLE;

/// Runs a subcommand, prints its result or error, and returns the exit code that
/// [`arguments::EXIT_CODES`] describes. `definition` is the command line of the whole program,
/// from which completions are generated.
pub async fn run(command: ClientCommand, definition: clap::Command) -> ExitCode {
    let as_json = command.prints_json();
    let result = match command {
        ClientCommand::Upload(arguments) => launch::upload(arguments).await,
        ClientCommand::Start(arguments) => launch::start(arguments).await,
        ClientCommand::Jobs(arguments) => jobs::list(arguments).await,
        ClientCommand::Job(arguments) => jobs::show(arguments).await,
        ClientCommand::Cancel(arguments) => jobs::cancel(arguments).await,
        ClientCommand::Retry(arguments) => jobs::retry(arguments).await,
        ClientCommand::Failures(arguments) => failures::list(arguments).await,
        ClientCommand::Events(arguments) => events::follow(arguments).await,
        ClientCommand::Tokens(command) => tokens::run(command).await,
        ClientCommand::Login(arguments) => login::run(arguments).await,
        ClientCommand::Completions { shell } => output::completions(shell, definition),
    };
    match result {
        Ok(result) => result.exit_code(),
        // A reader that has seen enough, such as `head`, closes the pipe.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::print_error(&error, as_json);
            error.exit_code()
        }
    }
}
