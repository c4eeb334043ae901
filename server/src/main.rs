//! The one binary.

use clap::Parser;
use server::{assembly, config::Config};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm=warn,lapin=warn"));
    // A file or a collector of logs is not to hold a terminal's colours.
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(stderr).init();
    assembly::run(Config::parse()).await
}
