//! A mixed load for minutes: uploads, pages, lists, sockets, correct and wrong
//! sign-ins. The memory of the process has to end near that of its first minute.

use crate::{
    browser::Browser,
    host::HostInfo,
    report::{Report, Samples},
};
use anyhow::{Context, ensure};
use contract::JobId;
use parking_lot::Mutex;
use sandbox::Sandbox;
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use testbed::{
    ApiClient, SandboxConfig, ServerProcess, WebSocketClient,
    api::{PASSWORD, product_csv_with_prefix},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Maximum memory at the end, as a multiple of that of the first minute.
const MAX_GROWTH: f64 = 1.5;
/// Products of one upload.
const PRODUCTS: usize = 100;
/// Number of concurrent uploads.
const UPLOADERS: usize = 3;
const READERS: usize = 8;
const SOCKETS: usize = 8;

#[derive(clap::Args)]
pub struct Soak {
    /// Duration of the load, minutes; at least two.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    minutes: u32,
    /// Speed of the sandbox.
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
}

/// Counters of the load's parts.
#[derive(Default)]
struct LoadCounters {
    uploads: AtomicU32,
    reads: AtomicU32,
    frames: AtomicU32,
    correct_sign_ins: AtomicU32,
    wrong_sign_ins: AtomicU32,
    /// Jobs that were accepted.
    jobs: Mutex<Vec<JobId>>,
    response_times: Mutex<Samples>,
}

fn increment(what: &AtomicU32) {
    what.fetch_add(1, Ordering::Relaxed);
}

impl Soak {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { minutes, speed } = self;
        // Outside the measured process, because the sandbox keeps every request in memory.
        let folder = tempfile::tempdir()?;
        let sandbox = Sandbox::start(sandbox::Options {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            ledger: folder.path().join("sandbox.jsonl"),
            speed,
            seed: 1,
            faults: false,
            latency: None,
            channels: sandbox::SAMPLE_CHANNELS.to_vec(),
        });
        let sandbox = sandbox.await?;
        let env = [("MEANWHILE_SANDBOX_URL", sandbox.base_url())];
        let config = SandboxConfig::without_faults(speed);
        let server = ServerProcess::start_with(binary, config, &env, &[]).await?;
        let title = format!("soak: {minutes} minutes of mixed load, speed {speed}, faults off");
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        let (counters, stop) = (Arc::new(LoadCounters::default()), CancellationToken::new());
        let before = server.memory_usage()?.current;
        let mut parts = JoinSet::new();
        for n in 0..UPLOADERS {
            parts.spawn(upload_repeatedly(
                server.api.clone(),
                n,
                Arc::clone(&counters),
                stop.clone(),
            ));
        }
        for n in 0..READERS {
            parts.spawn(read_pages(server.api.clone(), n, Arc::clone(&counters), stop.clone()));
        }
        for _ in 0..SOCKETS {
            parts.spawn(listen_repeatedly(server.api.clone(), Arc::clone(&counters), stop.clone()));
        }
        parts.spawn(sign_in_repeatedly(server.api.clone(), Arc::clone(&counters), stop.clone()));
        parts.spawn(guess_passwords(server.api.port, Arc::clone(&counters), stop.clone()));

        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        let mut ends = Vec::new();
        for minute in 1..=minutes {
            let (end, mut samples) = (Instant::now() + Duration::from_secs(60), Vec::new());
            while Instant::now() < end {
                tokio::select! {
                    _ = seconds.tick() => samples.push(server.memory_usage()?.current),
                    Some(ended) = parts.join_next() => {
                        ended?.context("a part of the load ended")?;
                    }
                }
            }
            // The mean of the last ten seconds, so that a single request does not matter.
            let last = &samples[samples.len().saturating_sub(10)..];
            let mean = last.iter().sum::<u64>() / u64::try_from(last.len().max(1))?;
            eprintln!("minute {minute:>3}: {:.0} MB", megabytes(mean));
            ends.push(mean);
        }
        stop.cancel();
        while let Some(ended) = parts.join_next().await {
            ended??;
        }
        let jobs = std::mem::take(&mut *counters.jobs.lock());
        let waits = std::mem::take(&mut *counters.response_times.lock());
        let (first, last) = (ends[0], ends[ends.len() - 1]);
        let peak = server.memory_usage()?.peak;
        sleep(Duration::from_secs(10)).await;
        let rest = server.memory_usage()?.current;

        report.add_timings("pages and lists", waits, &[]);
        report.add_figure("resident before", format!("{:.0} MB", megabytes(before)), None);
        report.add_figure("resident at the end of each minute", format_each_mb(&ends), None);
        report.add_figure("resident at the peak", format!("{:.0} MB", megabytes(peak)), None);
        report.add_figure(
            "resident 10 s after the load",
            format!("{:.0} MB", megabytes(rest)),
            None,
        );
        report.add_figure(
            "database",
            format!("{:.0} MB", megabytes(server.database_size()?)),
            None,
        );
        let LoadCounters { uploads, reads, frames, correct_sign_ins, wrong_sign_ins, .. } =
            &*counters;
        for (what, number) in [
            ("uploads", uploads),
            ("pages and lists read", reads),
            ("frames received", frames),
            ("correct sign-ins", correct_sign_ins),
            ("wrong sign-ins", wrong_sign_ins),
        ] {
            report.add_figure(what, number.load(Ordering::Relaxed).to_string(), None);
        }
        let growth = megabytes(last) / megabytes(first);
        report.add_check(
            format!("memory ends within {MAX_GROWTH} × of its first minute"),
            growth <= MAX_GROWTH,
            format!("{:.0} MB, then {:.0} MB: {growth:.2} ×", megabytes(first), megabytes(last)),
        );
        let (mut total, mut open) = (0, 0);
        for job in &jobs {
            let counts = server.api.job(*job).await?.counts;
            total += counts.total;
            open += counts.open;
        }
        let detail = format!("{open} of {total} items are open");
        report.add_check("all accepted items have finished", open == 0 && total > 0, detail);
        Ok(report)
    }
}

fn format_each_mb(bytes: &[u64]) -> String {
    let all: Vec<_> = bytes.iter().map(|bytes| format!("{:.0}", megabytes(*bytes))).collect();
    format!("{} MB", all.join(", "))
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Uploads files one after the other, each when the one before has finished.
async fn upload_repeatedly(
    api: ApiClient,
    n: usize,
    counters: Arc<LoadCounters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut round = 0;
    while !stop.is_cancelled() {
        round += 1;
        let name = format!("S{n}-{round}");
        let job = api.upload(product_csv_with_prefix(&name, PRODUCTS), &name).await?.id;
        increment(&counters.uploads);
        counters.jobs.lock().push(job);
        while api.job(job).await?.counts.open > 0 {
            sleep(Duration::from_millis(250)).await;
        }
    }
    Ok(())
}

/// Reads pages and lists, a few per second.
async fn read_pages(
    api: ApiClient,
    n: usize,
    counters: Arc<LoadCounters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let browser = Browser::new(Ipv4Addr::LOCALHOST, api.port, &api.cookie)?;
    while !stop.is_cancelled() {
        let job = counters.jobs.lock().last().copied();
        let mut paths = vec!["/".into(), "/jobs".into(), "/inbox".into(), "/account".into()];
        paths.push("/api/v1/channels".into());
        if let Some(job) = job {
            paths.push(format!("/jobs/{job}"));
            paths.push(format!("/api/v1/jobs/{job}/tasks?limit=200"));
            paths.push(format!("/api/v1/jobs/{job}/journal"));
            paths.push(format!("/jobs/{job}/failed.csv"));
        }
        paths.rotate_left(n % 4);
        for path in paths {
            let start = Instant::now();
            let (status, _) = browser.get(&path).await?;
            ensure!(status == 200, "{path} is answered {status}");
            counters.response_times.lock().add(start.elapsed());
            increment(&counters.reads);
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Opens a socket, receives frames for ten seconds, and opens another one.
async fn listen_repeatedly(
    api: ApiClient,
    counters: Arc<LoadCounters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let (mut stream, _) = WebSocketClient::open_at_head(&api).await?;
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(received) = timeout_at(end, stream.next_frame()).await {
            received?;
            increment(&counters.frames);
        }
    }
    Ok(())
}

/// Signs in on a known device once per second, as another user than the admin,
/// because the number of sessions per user is limited.
async fn sign_in_repeatedly(
    api: ApiClient,
    counters: Arc<LoadCounters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let home = Ipv4Addr::new(127, 0, 0, 9);
    let admin = Browser::new(home, api.port, &api.cookie)?;
    let cookies = admin.invite_user("bea@example.com", "user", PASSWORD).await?;
    let known = Browser::new(home, api.port, &cookies)?;
    while !stop.is_cancelled() {
        let status = known.sign_in("bea@example.com", PASSWORD).await?.status();
        ensure!(status == 204, "the right password is answered {status}");
        increment(&counters.correct_sign_ins);
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Guesses a password five times per second, from another address each time.
async fn guess_passwords(
    port: u16,
    counters: Arc<LoadCounters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut n = 0_u32;
    while !stop.is_cancelled() {
        n += 1;
        let [_, high, middle, low] = n.to_be_bytes();
        let stranger = Browser::new(Ipv4Addr::new(127, 64 + high, middle, low), port, "")?;
        let answer = stranger.sign_in(&format!("{n}@example.com"), "a wrong one").await?;
        let status = answer.status().as_u16();
        ensure!(matches!(status, 401 | 503), "a guess is answered {status}");
        increment(&counters.wrong_sign_ins);
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
