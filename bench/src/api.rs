//! `/api/v1` as a program uses it, and the sandbox past the product.

pub mod account;
pub mod ledger;

pub use ledger::{Record, Request, Summary};

use anyhow::{Context, bail};
use contract::{
    JobId, TaskId,
    api::{
        Accepted, Channel, Inbox, Job, Page, Problem, RunNoops, SignIn, StartInstances, Task,
        TaskDetail,
    },
    fact::Fact,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use serde::de::DeserializeOwned;
use std::{fmt::Write, time::Duration};

pub const WHO: &str = "ada@example.com";
pub const PASSWORD: &str = "correct-horse";
pub const CHANNELS: &str = "acme,bazaar,corner";
/// How many channels these are.
pub const WIDTH: usize = 3;

/// A server that is away is noticed, however it went.
fn client() -> Client {
    let limits = Client::builder().timeout(Duration::from_secs(30));
    limits.connect_timeout(Duration::from_secs(5)).build().unwrap_or_default()
}

/// A signed-in program.
#[derive(Clone)]
pub struct Api {
    pub port: u16,
    pub sandbox: u16,
    pub cookie: String,
    client: Client,
}

impl Api {
    pub fn new(port: u16, sandbox: u16) -> Self {
        Self { port, sandbox, cookie: String::new(), client: client() }
    }

    /// Also the Origin of everything that changes something.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn ready(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.base())).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// A person with an account of their own, by an invitation from this one,
    /// who talks to the node at `port`.
    pub async fn invite(&self, email: &str, port: u16) -> anyhow::Result<Self> {
        let form = [("email", email), ("role", "user")];
        let link = self.submit(&self.base(), "/people", &form).await?;
        let token = link.split_once('=').context("no link")?.1.to_owned();
        let mut person = Self::new(port, self.sandbox);
        let form = [("password", PASSWORD)];
        person.cookie = person.submit(&person.base(), &format!("/invite/{token}"), &form).await?;
        Ok(person)
    }

    /// Sends a form of the pages; the cookie that it was answered with.
    async fn submit(
        &self,
        base: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        // A cookie comes with the answer that leads on.
        let client = Client::builder().redirect(Policy::none()).build()?;
        let request = client.post(format!("{base}{path}")).header(header::ORIGIN, base);
        let answer = request.header(header::COOKIE, &self.cookie).form(form).send().await?;
        cookie(&expect(answer, StatusCode::SEE_OTHER).await?)
    }

    pub async fn sign_in(&mut self) -> anyhow::Result<()> {
        let who = SignIn { email: WHO.into(), password: PASSWORD.into() };
        let answer = self.post("/session").json(&who).send().await?;
        let answer = expect(answer, StatusCode::NO_CONTENT).await?;
        self.cookie = cookie(&answer)?;
        Ok(())
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client
            .post(format!("{}/api/v1{path}", self.base()))
            .header(header::ORIGIN, self.base())
            .header(header::COOKIE, &self.cookie)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}/api/v1{path}", self.base());
        let answer = self.client.get(url).header(header::COOKIE, &self.cookie).send().await?;
        Ok(expect(answer, StatusCode::OK).await?.json().await?)
    }

    /// Any page or endpoint, to the last byte of its answer.
    pub async fn page(&self, path: &str) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.base());
        let answer = self.client.get(url).header(header::COOKIE, &self.cookie).send().await?;
        expect(answer, StatusCode::OK).await?.bytes().await?;
        Ok(())
    }

    /// Uploads `csv` to [`CHANNELS`].
    pub async fn upload(&self, csv: String, key: &str) -> anyhow::Result<Job> {
        launched(self.try_upload(CHANNELS, csv, key).await?).await
    }

    /// Uploads a file of that name to the first channel.
    pub async fn upload_file(&self, file: &str, csv: String, key: &str) -> anyhow::Result<Job> {
        let path = format!("/jobs/product-uploads?channels=acme&file={file}");
        let request = self.post(&path).header("Idempotency-Key", key).body(csv);
        launched(request.send().await?).await
    }

    /// Number of notifications that are not read.
    pub async fn unread(&self) -> anyhow::Result<usize> {
        Ok(usize::try_from(self.get::<Inbox>("/notifications").await?.unread)?)
    }

    /// Uploads `csv` to some channels.
    pub async fn upload_to(&self, channels: &str, csv: String, key: &str) -> anyhow::Result<Job> {
        launched(self.try_upload(channels, csv, key).await?).await
    }

    /// What an upload is answered, whatever it is: a job, or the words of a
    /// 503.
    pub async fn upload_or_503(
        &self,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Result<Job, String>> {
        self.upload_to_or_503(CHANNELS, csv, key).await
    }

    /// The same to some channels.
    pub async fn upload_to_or_503(
        &self,
        channels: &str,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Result<Job, String>> {
        let answer = self.try_upload(channels, csv, key).await?;
        if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
            return launched(answer).await.map(Ok);
        }
        Ok(Err(answer.json::<Problem>().await?.detail))
    }

    async fn try_upload(&self, channels: &str, csv: String, key: &str) -> anyhow::Result<Response> {
        let path = format!("/jobs/product-uploads?channels={channels}");
        Ok(self.post(&path).header("Idempotency-Key", key).body(csv).send().await?)
    }

    pub async fn start_machines(&self, ids: &[&str], key: &str) -> anyhow::Result<Job> {
        let instance_ids = ids.iter().map(|&id| id.into()).collect();
        let machines = StartInstances { instance_ids };
        let request = self.post("/jobs/ec2-starts").header("Idempotency-Key", key).json(&machines);
        launched(request.send().await?).await
    }

    /// Launches tasks that do nothing.
    pub async fn run_noops(&self, count: u32) -> anyhow::Result<Job> {
        launched(self.post("/jobs/noops").json(&RunNoops { count }).send().await?).await
    }

    pub async fn cancel(&self, job: JobId) -> anyhow::Result<Job> {
        launched(self.post(&format!("/jobs/{job}/cancel")).send().await?).await
    }

    /// All that failed of a job.
    pub async fn retry(&self, job: JobId) -> anyhow::Result<Job> {
        let all = serde_json::json!({});
        launched(self.post(&format!("/jobs/{job}/retry")).json(&all).send().await?).await
    }

    pub async fn job(&self, job: JobId) -> anyhow::Result<Job> {
        self.get(&format!("/jobs/{job}")).await
    }

    /// Whether the server knows the job.
    pub async fn knows(&self, job: JobId) -> anyhow::Result<bool> {
        let url = format!("{}/api/v1/jobs/{job}", self.base());
        let answer = self.client.get(url).header(header::COOKIE, &self.cookie).send().await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => expect(answer, StatusCode::OK).await.map(|_| true),
        }
    }

    pub async fn jobs(&self) -> anyhow::Result<Page<Job>> {
        self.get("/jobs?limit=200").await
    }

    pub async fn channels(&self) -> anyhow::Result<Vec<Channel>> {
        Ok(self.get::<Page<Channel>>("/channels").await?.items)
    }

    /// One page of a job's tasks, behind `cursor`.
    pub async fn tasks_page(&self, job: JobId, cursor: Option<&str>) -> anyhow::Result<Page<Task>> {
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        self.get(&format!("/jobs/{job}/tasks?limit=200{cursor}")).await
    }

    pub async fn tasks(&self, job: JobId) -> anyhow::Result<Vec<Task>> {
        let mut page = self.tasks_page(job, None).await?;
        let mut tasks = page.items;
        while let Some(next) = page.next {
            page = self.tasks_page(job, Some(&next)).await?;
            tasks.append(&mut page.items);
        }
        Ok(tasks)
    }

    /// One task with its attempts.
    pub async fn task(&self, task: TaskId) -> anyhow::Result<TaskDetail> {
        self.get(&format!("/tasks/{task}")).await
    }

    pub async fn journal(&self, job: JobId) -> anyhow::Result<Vec<Fact>> {
        let mut facts: Vec<Fact> = Vec::new();
        loop {
            let after = facts.last().map_or(0, |fact| fact.seq);
            let page: Page<Fact> = self.get(&format!("/jobs/{job}/journal?after={after}")).await?;
            facts.extend(page.items);
            if page.next.is_none() {
                return Ok(facts);
            }
        }
    }
}

/// The first cookie that an answer sets.
fn cookie(answer: &Response) -> anyhow::Result<String> {
    let cookie = answer.headers().get(header::SET_COOKIE).context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn launched(answer: Response) -> anyhow::Result<Job> {
    Ok(expect(answer, StatusCode::ACCEPTED).await?.json::<Accepted>().await?.job)
}

async fn expect(answer: Response, status: StatusCode) -> anyhow::Result<Response> {
    if answer.status() != status {
        bail!("{} instead of {status}: {}", answer.status(), answer.text().await?);
    }
    Ok(answer)
}

/// A plain file of so many products.
pub fn csv(products: usize) -> String {
    csv_of("MW", products)
}

/// A plain file of so many products whose SKUs begin with `prefix`.
pub fn csv_of(prefix: &str, products: usize) -> String {
    let mut csv = String::from("sku,title,price,description\n");
    for n in 1..=products {
        // Writing to a string can't fail.
        let _ =
            writeln!(csv, "{prefix}-{n:05},Lamp {n},19.90,A lamp for desk and wall with a dimmer");
    }
    csv
}
