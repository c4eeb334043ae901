//! Reads pages of ten users at the same time: each page shows its reader's data,
//! and nothing of anyone else.
//!
//! Every user has a unique mark in their address, file names and SKUs, and a unique
//! number of unread notifications.

use crate::{
    host::HostInfo,
    report::{Report, Samples},
};
use anyhow::{Context, ensure};
use contract::JobId;
use rand::RngExt;
use reqwest::{Client, header, redirect::Policy};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testbed::{ApiClient, SandboxConfig, ServerProcess, api::product_csv_with_prefix};
use tokio::{task::JoinSet, time::sleep};

/// Products of each job.
const PRODUCTS: usize = 3;
/// Maximum time until all jobs have finished.
const JOBS_TIMEOUT: Duration = Duration::from_secs(120);
/// Findings that are described; the others are only counted.
const MAX_EXAMPLES: usize = 5;

#[derive(clap::Args)]
pub struct PageIsolation {
    /// Number of pages to read.
    #[arg(long, default_value_t = 50_000)]
    pages: usize,
    /// Number of pages that are read at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Number of users, each with their own session.
    #[arg(long, default_value_t = 10)]
    people: usize,
}

struct TestUser {
    mark: String,
    cookie: String,
    /// Number of unread notifications, unique to this user.
    unread: usize,
    jobs: Vec<JobId>,
}

/// Counts of pages with wrong responses.
#[derive(Default)]
struct PageFindings {
    times: Samples,
    pages_read: usize,
    leaked_marks: usize,
    wrong_unread_counts: usize,
    server_errors: usize,
    other_failures: usize,
    examples: Vec<String>,
}

impl PageFindings {
    fn merge(&mut self, other: Self) {
        self.times.extend(other.times);
        self.pages_read += other.pages_read;
        self.leaked_marks += other.leaked_marks;
        self.wrong_unread_counts += other.wrong_unread_counts;
        self.server_errors += other.server_errors;
        self.other_failures += other.other_failures;
        self.examples.extend(other.examples);
        self.examples.truncate(MAX_EXAMPLES);
    }
}

impl PageIsolation {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { pages, concurrency, people } = self;
        ensure!(people > 1, "isolation takes at least two people");
        let server = ServerProcess::start(binary, SandboxConfig::without_faults(100.0)).await?;
        let api = &server.api;
        let title =
            format!("page isolation: {pages} pages of {people} people, {concurrency} at once");
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        let people = Arc::new(invite_users(api, people).await?);

        let client = Client::builder().redirect(Policy::none()).build()?;
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut readers = JoinSet::new();
        for _ in 0..concurrency {
            let (people, next, client) = (Arc::clone(&people), Arc::clone(&next), client.clone());
            let base = api.base_url();
            readers.spawn(async move {
                let mut findings = PageFindings::default();
                while next.fetch_add(1, Ordering::Relaxed) < pages {
                    check_random_page(&client, &base, &people, &mut findings).await?;
                }
                anyhow::Ok(findings)
            });
        }
        let mut all = PageFindings::default();
        while let Some(findings) = readers.join_next().await {
            all.merge(findings??);
        }
        let seconds = start.elapsed().as_secs_f64();
        let panics = server.count_panics();

        #[allow(clippy::cast_precision_loss)]
        let rate = all.pages_read as f64 / seconds;
        report.add_timings("one page", all.times, &[]);
        report.add_figure("pages a second", format!("{rate:.0}"), None);
        let check_none =
            |count: usize| (count == 0, format!("{count} of {} pages", all.pages_read));
        for (what, count) in [
            ("no mark of anyone else", all.leaked_marks),
            ("every unread count is the reader's", all.wrong_unread_counts),
            ("no status of 500 or more", all.server_errors),
            ("every other page is as expected", all.other_failures),
        ] {
            let (passed, detail) = check_none(count);
            report.add_check(what, passed, detail);
        }
        report.add_check("no panic", panics == 0, format!("{panics} in the log"));
        for words in all.examples {
            report.add_note(words);
        }
        Ok(report)
    }
}

/// Invites users, and launches one job for the first, two for the second and so on.
/// Returns when each has one unread notification per job.
async fn invite_users(api: &ApiClient, count: usize) -> anyhow::Result<Vec<TestUser>> {
    let mut people = Vec::new();
    for number in 1..=count {
        let mark = format!("mark{:08x}", rand::rng().random::<u32>());
        let person = api.invite_user(&format!("{mark}@example.com"), api.port).await?;
        let mut jobs = Vec::new();
        for job in 1..=number {
            let csv = product_csv_with_prefix(&format!("{mark}-{job}"), PRODUCTS);
            let file = format!("{mark}-{job}.csv");
            jobs.push(person.upload_named_file(&file, csv, &format!("{mark}-{job}")).await?.id);
        }
        let unread = number;
        people.push((person, mark, unread, jobs));
    }
    let start = Instant::now();
    for (person, mark, unread, _) in &people {
        while person.count_unread_notifications().await? != *unread {
            ensure!(start.elapsed() < JOBS_TIMEOUT, "the jobs of {mark} have not ended");
            sleep(Duration::from_millis(50)).await;
        }
    }
    let person = |(person, mark, unread, jobs): (ApiClient, _, _, _)| TestUser {
        mark,
        cookie: person.cookie,
        unread,
        jobs,
    };
    Ok(people.into_iter().map(person).collect())
}

/// A kind of page, which decides what its response must contain.
enum PageKind {
    /// A page of a signed-in user.
    SignedIn,
    /// JSON of a signed-in user.
    Json,
    /// A page without a session.
    Anonymous,
}

/// Reads a random page of a random user.
async fn check_random_page(
    client: &Client,
    base: &str,
    people: &[TestUser],
    findings: &mut PageFindings,
) -> anyhow::Result<()> {
    let (person, path, kind, status) = {
        let mut random = rand::rng();
        let person = people.get(random.random_range(0..people.len())).context("nobody")?;
        let job = person.jobs.get(random.random_range(0..person.jobs.len())).context("no job")?;
        let (path, kind, status) = match random.random_range(0..14) {
            0 => ("/".into(), PageKind::SignedIn, 200),
            1 => ("/jobs".into(), PageKind::SignedIn, 200),
            2 | 3 => (format!("/jobs/{job}"), PageKind::SignedIn, 200),
            4 => (format!("/jobs/{job}?view=timeline"), PageKind::SignedIn, 200),
            5 => (format!("/jobs/{job}?view=flow"), PageKind::SignedIn, 200),
            6 => ("/inbox".into(), PageKind::SignedIn, 200),
            7 => (format!("/search?q={}", person.mark), PageKind::SignedIn, 200),
            8 => ("/machines".into(), PageKind::SignedIn, 200),
            9 => ("/account".into(), PageKind::SignedIn, 200),
            10 => ("/api/v1/jobs".into(), PageKind::Json, 200),
            11 => ("/api/v1/notifications".into(), PageKind::Json, 200),
            12 => ("/sign-in".into(), PageKind::Anonymous, 200),
            _ => ("/invite/none".into(), PageKind::Anonymous, 404),
        };
        (person, path, kind, status)
    };
    let mut request = client.get(format!("{base}{path}"));
    if !matches!(kind, PageKind::Anonymous) {
        request = request.header(header::COOKIE, &person.cookie);
    }
    let start = Instant::now();
    let answer = request.header(header::ACCEPT, "text/html").send().await?;
    let found = answer.status().as_u16();
    let text = answer.text().await?;
    findings.times.add(start.elapsed());
    findings.pages_read += 1;

    let mut add_example = |words: String| {
        if findings.examples.len() < MAX_EXAMPLES {
            findings.examples.push(format!("{} at {path}: {words}", person.mark));
        }
    };
    let own = !matches!(kind, PageKind::Anonymous);
    let foreign = people
        .iter()
        .find(|other| !(own && other.mark == person.mark) && text.contains(other.mark.as_str()));
    if let Some(foreign) = foreign {
        add_example(format!("shows the mark of {}", foreign.mark));
        findings.leaked_marks += 1;
    }
    if found >= 500 {
        add_example(format!("status {found}"));
        findings.server_errors += 1;
        return Ok(());
    }
    if found != status || (own && !text.contains(&person.mark)) {
        add_example(format!("status {found}, {} bytes", text.len()));
        findings.other_failures += 1;
        return Ok(());
    }
    let title = between(&text, "<title>", "</title>").unwrap_or_default();
    let badge = between(&text, "data-testid=\"unread-count\"", "</span>");
    let badge =
        badge.and_then(|badge| badge.split('>').nth(1)).map(|badge| badge.replace("<!", ""));
    let (correct, shown) = match kind {
        PageKind::SignedIn => {
            let shown = format!("title {title:?}, unread badge {badge:?}");
            let number = person.unread.to_string();
            let titled = title.starts_with(&format!("({number}) "));
            (titled && badge.is_some_and(|badge| badge == number), shown)
        }
        PageKind::Anonymous => (!title.starts_with('('), format!("title {title:?}")),
        PageKind::Json => (true, String::new()),
    };
    if !correct {
        add_example(format!("{shown} instead of {}", person.unread));
        findings.wrong_unread_counts += 1;
    }
    Ok(())
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(between, _)| between)
}
