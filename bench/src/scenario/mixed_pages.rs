//! Pages of ten people, rendered at the same time: each page shows what is its
//! reader's, and nothing of anyone else.
//!
//! Every person has a mark of their own in their address, their files' names and
//! their SKUs, and a number of unread notifications that nobody else has.

use crate::{
    api::{Api, csv_of},
    machine::Machine,
    process::{Meanwhile, Outside},
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
use tokio::{task::JoinSet, time::sleep};

/// Products of each job.
const PRODUCTS: usize = 3;
/// Bound on the time until all jobs have ended.
const PATIENCE: Duration = Duration::from_secs(120);
/// Findings that are told in words; the others are counted.
const TOLD: usize = 5;

#[derive(clap::Args)]
pub struct MixedPages {
    /// Pages that are read in all.
    #[arg(long, default_value_t = 50_000)]
    pages: usize,
    /// Pages that are read at the same time.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// People, each with a session of their own.
    #[arg(long, default_value_t = 10)]
    people: usize,
}

struct Person {
    mark: String,
    cookie: String,
    /// Notifications that this person has not read: another number for each.
    unread: usize,
    jobs: Vec<JobId>,
}

/// Pages that did not answer as they must.
#[derive(Default)]
struct Findings {
    times: Samples,
    read: usize,
    foreign_marks: usize,
    wrong_numbers: usize,
    five_hundreds: usize,
    others: usize,
    words: Vec<String>,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.read += other.read;
        self.foreign_marks += other.foreign_marks;
        self.wrong_numbers += other.wrong_numbers;
        self.five_hundreds += other.five_hundreds;
        self.others += other.others;
        self.words.extend(other.words);
        self.words.truncate(TOLD);
    }
}

impl MixedPages {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { pages, at_once, people } = self;
        ensure!(people > 1, "one person alone has nobody to be mixed up with");
        let meanwhile = Meanwhile::start(binary, Outside::calm(100.0)).await?;
        let api = &meanwhile.api;
        let title = format!("mixed pages: {pages} pages of {people} people, {at_once} at once");
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));
        let people = Arc::new(invite(api, people).await?);

        let client = Client::builder().redirect(Policy::none()).build()?;
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut readers = JoinSet::new();
        for _ in 0..at_once {
            let (people, next, client) = (Arc::clone(&people), Arc::clone(&next), client.clone());
            let base = api.base();
            readers.spawn(async move {
                let mut findings = Findings::default();
                while next.fetch_add(1, Ordering::Relaxed) < pages {
                    read(&client, &base, &people, &mut findings).await?;
                }
                anyhow::Ok(findings)
            });
        }
        let mut all = Findings::default();
        while let Some(findings) = readers.join_next().await {
            all.add(findings??);
        }
        let seconds = start.elapsed().as_secs_f64();
        let panics = meanwhile.panics()?;

        #[allow(clippy::cast_precision_loss)]
        let rate = all.read as f64 / seconds;
        report.times("one page", all.times, &[]);
        report.figure("pages a second", format!("{rate:.0}"), None);
        let none = |count: usize| (count == 0, format!("{count} of {} pages", all.read));
        for (what, count) in [
            ("no mark of anyone else", all.foreign_marks),
            ("every number of unread is the reader's", all.wrong_numbers),
            ("no status of 500 or more", all.five_hundreds),
            ("every other page is as expected", all.others),
        ] {
            let (held, detail) = none(count);
            report.check(what, held, detail);
        }
        report.check("no panic", panics == 0, format!("{panics} in the log"));
        for words in all.words {
            report.note(words);
        }
        Ok(report)
    }
}

/// Invites people, and launches one job for the first, two for the second and
/// so on; returns when each has one unread notification for each job.
async fn invite(api: &Api, count: usize) -> anyhow::Result<Vec<Person>> {
    let mut people = Vec::new();
    for number in 1..=count {
        let mark = format!("mark{:08x}", rand::rng().random::<u32>());
        let person = api.invite(&format!("{mark}@example.com"), api.port).await?;
        let mut jobs = Vec::new();
        for job in 1..=number {
            let csv = csv_of(&format!("{mark}-{job}"), PRODUCTS);
            let file = format!("{mark}-{job}.csv");
            jobs.push(person.upload_file(&file, csv, &format!("{mark}-{job}")).await?.id);
        }
        let unread = number;
        people.push((person, mark, unread, jobs));
    }
    let start = Instant::now();
    for (person, mark, unread, _) in &people {
        while person.unread().await? != *unread {
            ensure!(start.elapsed() < PATIENCE, "the jobs of {mark} have not ended");
            sleep(Duration::from_millis(50)).await;
        }
    }
    let person = |(person, mark, unread, jobs): (Api, _, _, _)| Person {
        mark,
        cookie: person.cookie,
        unread,
        jobs,
    };
    Ok(people.into_iter().map(person).collect())
}

/// A kind of page, and what its answer must have.
enum Kind {
    /// A page of a signed-in person.
    Own,
    /// JSON of a signed-in person.
    Json,
    /// Anything that a stranger is shown.
    Stranger,
}

/// Reads one page of one person, both at random.
async fn read(
    client: &Client,
    base: &str,
    people: &[Person],
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let (person, path, kind, status) = {
        let mut random = rand::rng();
        let person = people.get(random.random_range(0..people.len())).context("nobody")?;
        let job = person.jobs.get(random.random_range(0..person.jobs.len())).context("no job")?;
        let (path, kind, status) = match random.random_range(0..14) {
            0 => ("/".into(), Kind::Own, 200),
            1 => ("/jobs".into(), Kind::Own, 200),
            2 | 3 => (format!("/jobs/{job}"), Kind::Own, 200),
            4 => (format!("/jobs/{job}?view=timeline"), Kind::Own, 200),
            5 => (format!("/jobs/{job}?view=flow"), Kind::Own, 200),
            6 => ("/inbox".into(), Kind::Own, 200),
            7 => (format!("/search?q={}", person.mark), Kind::Own, 200),
            8 => ("/machines".into(), Kind::Own, 200),
            9 => ("/account".into(), Kind::Own, 200),
            10 => ("/api/v1/jobs".into(), Kind::Json, 200),
            11 => ("/api/v1/notifications".into(), Kind::Json, 200),
            12 => ("/sign-in".into(), Kind::Stranger, 200),
            _ => ("/invite/none".into(), Kind::Stranger, 404),
        };
        (person, path, kind, status)
    };
    let mut request = client.get(format!("{base}{path}"));
    if !matches!(kind, Kind::Stranger) {
        request = request.header(header::COOKIE, &person.cookie);
    }
    let start = Instant::now();
    let answer = request.header(header::ACCEPT, "text/html").send().await?;
    let found = answer.status().as_u16();
    let text = answer.text().await?;
    findings.times.add(start.elapsed());
    findings.read += 1;

    let mut tell = |words: String| {
        if findings.words.len() < TOLD {
            findings.words.push(format!("{} at {path}: {words}", person.mark));
        }
    };
    let own = !matches!(kind, Kind::Stranger);
    let foreign = people
        .iter()
        .find(|other| !(own && other.mark == person.mark) && text.contains(other.mark.as_str()));
    if let Some(foreign) = foreign {
        tell(format!("shows the mark of {}", foreign.mark));
        findings.foreign_marks += 1;
    }
    if found >= 500 {
        tell(format!("status {found}"));
        findings.five_hundreds += 1;
        return Ok(());
    }
    if found != status || (own && !text.contains(&person.mark)) {
        tell(format!("status {found}, {} bytes", text.len()));
        findings.others += 1;
        return Ok(());
    }
    let title = between(&text, "<title>", "</title>").unwrap_or_default();
    let bell = between(&text, "data-testid=\"bell-count\"", "</span>");
    let bell = bell.and_then(|bell| bell.split('>').nth(1)).map(|bell| bell.replace("<!", ""));
    let (right, shown) = match kind {
        Kind::Own => {
            let shown = format!("title {title:?}, bell {bell:?}");
            let number = person.unread.to_string();
            let titled = title.starts_with(&format!("({number}) "));
            (titled && bell.is_some_and(|bell| bell == number), shown)
        }
        Kind::Stranger => (!title.starts_with('('), format!("title {title:?}")),
        Kind::Json => (true, String::new()),
    };
    if !right {
        tell(format!("{shown} instead of {}", person.unread));
        findings.wrong_numbers += 1;
    }
    Ok(())
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(between, _)| between)
}
