//! The `meanwhile` binary.

use clap::{CommandFactory, Parser};
use server::{
    config::{Config, ProcessRole},
    redact::{self, RedactingWriter, redact},
    runtime,
    telemetry::{self, Telemetry},
};
use std::{
    backtrace::BacktraceStatus,
    io::{IsTerminal, Write, stderr, stdout},
    process::ExitCode,
};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Returns the memory of large allocations to the system. glibc keeps it in one
/// arena for each thread: after a minute of wrong sign-ins, whose hashes take
/// 20 MiB each, the process held 1,100 MB with glibc and 27 MB with mimalloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    redact::collect_secrets();
    redact::redact_panics();
    // Log files and collectors must not contain terminal colours.
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => return usage(&error, colours),
    };
    if let Some(ProcessRole::Client(command)) = config.role {
        return Box::pin(cli::run(*command, Config::command())).await;
    }
    let telemetry = match start_telemetry(config.role.as_ref()) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            let _ = writeln!(stderr(), "Error: {}", redact(&error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm=warn,lapin=warn"));
    let writer = || RedactingWriter(stderr());
    tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().with_ansi(colours).with_writer(writer))
        .with(telemetry.log_layer())
        .init();
    let done = Box::pin(runtime::run(config)).await;
    telemetry.shut_down().await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "Error: {}", redact(&format!("{error:#}")));
            // Captured only if RUST_BACKTRACE is set.
            if error.backtrace().status() == BacktraceStatus::Captured {
                let _ = writeln!(stderr(), "{}", redact(&error.backtrace().to_string()));
            }
            ExitCode::FAILURE
        }
    }
}

/// Starts the export of telemetry in a process that serves or works.
fn start_telemetry(role: Option<&ProcessRole>) -> Result<Telemetry, telemetry::Error> {
    match role {
        None | Some(ProcessRole::Serve | ProcessRole::Work) => Telemetry::start(),
        Some(_) => Ok(Telemetry::default()),
    }
}

/// Prints the help, the version or a usage error, and returns the exit code.
fn usage(error: &clap::Error, colours: bool) -> ExitCode {
    let text = error.render();
    let text = redact(&if colours { text.ansi().to_string() } else { text.to_string() });
    let _ = match error.use_stderr() {
        true => stderr().write_all(text.as_bytes()),
        false => stdout().write_all(text.as_bytes()),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
