//! A mixed load for minutes: uploads, pages, lists, sockets, right and wrong
//! sign-ins. The memory of the process ends near that of its first minute.

use crate::{
    api::{Api, PASSWORD, csv_of},
    browser::Browser,
    machine::Machine,
    process::{Meanwhile, Outside},
    report::{Report, Samples},
    stream::Stream,
};
use anyhow::{Context, ensure};
use contract::JobId;
use sandbox::Sandbox;
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// The end may have this many times the memory of the first minute.
const GROWTH: f64 = 1.5;
/// Products of one upload.
const PRODUCTS: usize = 100;
/// Uploads that are under way at once.
const UPLOADS: usize = 3;
const READERS: usize = 8;
const SOCKETS: usize = 8;

#[derive(clap::Args)]
pub struct Soak {
    /// How long the load lasts, minutes; at least two.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    minutes: u32,
    /// Speed of the sandbox.
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
}

/// What the load's parts have done.
#[derive(Default)]
struct Done {
    uploads: AtomicU32,
    reads: AtomicU32,
    facts: AtomicU32,
    right: AtomicU32,
    wrong: AtomicU32,
    /// Jobs that were accepted.
    jobs: Mutex<Vec<JobId>>,
    waits: Mutex<Samples>,
}

fn count(what: &AtomicU32) {
    what.fetch_add(1, Ordering::Relaxed);
}

impl Soak {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { minutes, speed } = self;
        // Outside of the measured process: the sandbox keeps every request in memory.
        let folder = tempfile::tempdir()?;
        let sandbox = Sandbox::start(sandbox::Options {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            ledger: folder.path().join("sandbox.jsonl"),
            speed,
            seed: 1,
            faults: false,
            latency: None,
        });
        let sandbox = sandbox.await?;
        let url = [("MEANWHILE_SANDBOX_URL", sandbox.base_url())];
        let meanwhile = Meanwhile::start_with(binary, Outside::calm(speed), &url, &[]).await?;
        let title = format!("soak: {minutes} minutes of mixed load, speed {speed}, faults off");
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));
        let (done, stop) = (Arc::new(Done::default()), CancellationToken::new());
        let before = meanwhile.memory()?.now;
        let mut parts = JoinSet::new();
        for n in 0..UPLOADS {
            parts.spawn(upload(meanwhile.api.clone(), n, Arc::clone(&done), stop.clone()));
        }
        for n in 0..READERS {
            parts.spawn(read(meanwhile.api.clone(), n, Arc::clone(&done), stop.clone()));
        }
        for _ in 0..SOCKETS {
            parts.spawn(listen(meanwhile.api.clone(), Arc::clone(&done), stop.clone()));
        }
        parts.spawn(sign_in(meanwhile.api.clone(), Arc::clone(&done), stop.clone()));
        parts.spawn(guess(meanwhile.api.port, Arc::clone(&done), stop.clone()));

        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        let mut ends = Vec::new();
        for minute in 1..=minutes {
            let (end, mut samples) = (Instant::now() + Duration::from_secs(60), Vec::new());
            while Instant::now() < end {
                tokio::select! {
                    _ = seconds.tick() => samples.push(meanwhile.memory()?.now),
                    Some(ended) = parts.join_next() => {
                        ended?.context("a part of the load ended")?;
                    }
                }
            }
            // Of the last ten seconds, so that one request does not matter.
            let last = &samples[samples.len().saturating_sub(10)..];
            let mean = last.iter().sum::<u64>() / u64::try_from(last.len().max(1))?;
            eprintln!("minute {minute:>3}: {:.0} MB", mb(mean));
            ends.push(mean);
        }
        stop.cancel();
        while let Some(ended) = parts.join_next().await {
            ended??;
        }
        let jobs = std::mem::take(&mut *done.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        let waits = std::mem::take(&mut *done.waits.lock().unwrap_or_else(PoisonError::into_inner));
        let (first, last) = (ends[0], ends[ends.len() - 1]);
        let peak = meanwhile.memory()?.peak;
        sleep(Duration::from_secs(10)).await;
        let rest = meanwhile.memory()?.now;

        report.times("pages and lists", waits, &[]);
        report.figure("resident before", format!("{:.0} MB", mb(before)), None);
        report.figure("resident at the end of each minute", each(&ends), None);
        report.figure("resident at the peak", format!("{:.0} MB", mb(peak)), None);
        report.figure("resident 10 s after the load", format!("{:.0} MB", mb(rest)), None);
        report.figure("database", format!("{:.0} MB", mb(meanwhile.stored()?)), None);
        let Done { uploads, reads, facts, right, wrong, .. } = &*done;
        for (what, number) in [
            ("uploads", uploads),
            ("pages and lists read", reads),
            ("frames heard", facts),
            ("right sign-ins", right),
            ("wrong sign-ins", wrong),
        ] {
            report.figure(what, number.load(Ordering::Relaxed).to_string(), None);
        }
        let growth = mb(last) / mb(first);
        report.check(
            format!("memory ends within {GROWTH} × of its first minute"),
            growth <= GROWTH,
            format!("{:.0} MB, then {:.0} MB: {growth:.2} ×", mb(first), mb(last)),
        );
        let (mut total, mut open) = (0, 0);
        for job in &jobs {
            let counts = meanwhile.api.job(*job).await?.counts;
            total += counts.total;
            open += counts.open;
        }
        let detail = format!("{open} of {total} items are open");
        report.check("all that was accepted has ended", open == 0 && total > 0, detail);
        Ok(report)
    }
}

fn each(bytes: &[u64]) -> String {
    let all: Vec<_> = bytes.iter().map(|bytes| format!("{:.0}", mb(*bytes))).collect();
    format!("{} MB", all.join(", "))
}

#[allow(clippy::cast_precision_loss)]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Uploads files one after the other, each when the one before has ended.
async fn upload(
    api: Api,
    n: usize,
    done: Arc<Done>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut round = 0;
    while !stop.is_cancelled() {
        round += 1;
        let name = format!("S{n}-{round}");
        let job = api.upload(csv_of(&name, PRODUCTS), &name).await?.id;
        count(&done.uploads);
        done.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        while api.job(job).await?.counts.open > 0 {
            sleep(Duration::from_millis(250)).await;
        }
    }
    Ok(())
}

/// Reads pages and lists, a few a second.
async fn read(api: Api, n: usize, done: Arc<Done>, stop: CancellationToken) -> anyhow::Result<()> {
    let browser = Browser::new(Ipv4Addr::LOCALHOST, api.port, &api.cookie)?;
    while !stop.is_cancelled() {
        let job = done.jobs.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
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
            done.waits.lock().unwrap_or_else(PoisonError::into_inner).add(start.elapsed());
            count(&done.reads);
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Opens a socket, hears what comes for ten seconds, and opens another one.
async fn listen(api: Api, done: Arc<Done>, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let (mut stream, _) = Stream::at_head(&api).await?;
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(received) = timeout_at(end, stream.next()).await {
            received?;
            count(&done.facts);
        }
    }
    Ok(())
}

/// Signs in on a known device, once a second. It is another person's, because
/// one has so many sessions only.
async fn sign_in(api: Api, done: Arc<Done>, stop: CancellationToken) -> anyhow::Result<()> {
    let home = Ipv4Addr::new(127, 0, 0, 9);
    let admin = Browser::new(home, api.port, &api.cookie)?;
    let cookies = admin.invite("bea@example.com", "user", PASSWORD).await?;
    let known = Browser::new(home, api.port, &cookies)?;
    while !stop.is_cancelled() {
        let status = known.sign_in("bea@example.com", PASSWORD).await?.status();
        ensure!(status == 204, "the right password is answered {status}");
        count(&done.right);
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Guesses five times a second, from an address of its own each time.
async fn guess(port: u16, done: Arc<Done>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut n = 0_u32;
    while !stop.is_cancelled() {
        n += 1;
        let [_, high, middle, low] = n.to_be_bytes();
        let stranger = Browser::new(Ipv4Addr::new(127, 64 + high, middle, low), port, "")?;
        let answer = stranger.sign_in(&format!("{n}@example.com"), "a wrong one").await?;
        let status = answer.status().as_u16();
        ensure!(matches!(status, 401 | 503), "a guess is answered {status}");
        count(&done.wrong);
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
