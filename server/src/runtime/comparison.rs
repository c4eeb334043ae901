//! `meanwhile compare`: three ways to run a batch, side by side.

use super::machines::SANDBOX_POLL_INTERVAL;
use crate::config::{CompareOptions, Config};
use anyhow::Context;
use compare::{Options, run, serve::serve};
use std::io::stdout;

/// Runs the comparison, or the server of one of its simpler ways.
///
/// # Errors
/// A part can't be started or measured, or a signal ended the comparison.
pub async fn run(config: &Config, options: &CompareOptions) -> anyhow::Result<()> {
    if let Some(way) = options.serve {
        let sandbox = config.sandbox.sandbox_url.as_ref().context("`--serve` needs a sandbox")?;
        let poll_interval = SANDBOX_POLL_INTERVAL.div_f64(config.sandbox.sandbox_speed);
        let served = serve(way.into(), config.listen, sandbox.expose_secret(), poll_interval);
        return served.await.with_context(|| format!("can't listen on {}", config.listen));
    }
    let options = Options {
        binary: std::env::current_exe().context("the path of this program is unknown")?,
        speed: options.speed,
        products: options.products,
        json: options.json,
    };
    Ok(Box::pin(run::run(&options, &mut stdout())).await?)
}
