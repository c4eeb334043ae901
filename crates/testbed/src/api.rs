//! A client of the product's HTTP interface, which also reads the sandbox directly.

pub mod aws;
pub mod ledger;
mod request;
pub mod stored_products;

pub use ledger::{RecordedRequest, ServiceRecord, ServiceSummary};
pub use request::ApiRequest;

use anyhow::{Context, bail};
use contract::{
    JobId, TaskId,
    api::{
        Channel, Inbox, Job, LaunchResponse, Page, Problem, RetryRequest, RetryState, RunNoops,
        SignIn, StartInstances, Task, TaskDetail,
    },
    fact::Fact,
};
use reqwest::{Client, Method, Response, StatusCode, header, redirect::Policy};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt::Write, time::Duration};

pub const ADMIN_EMAIL: &str = "ada@example.com";
pub const PASSWORD: &str = "correct-horse";
pub const CHANNELS: &str = "acme,bazaar,corner,depot";
/// Number of channels in [`CHANNELS`].
pub const CHANNEL_COUNT: usize = 4;

/// Returns a client whose timeouts detect a server that no longer answers.
fn http_client() -> Client {
    tls::install_provider();
    let limits = Client::builder().timeout(Duration::from_secs(30));
    limits.connect_timeout(Duration::from_secs(5)).build().unwrap_or_default()
}

/// A signed-in API client.
#[derive(Clone)]
pub struct ApiClient {
    pub port: u16,
    pub sandbox_port: u16,
    /// Session cookie; empty while signed out.
    pub cookie: String,
    pub client: Client,
    /// Whether an answer of the API that `docs/openapi.json` doesn't describe is a panic.
    pub checks_answers: bool,
}

impl ApiClient {
    pub fn new(port: u16, sandbox_port: u16) -> Self {
        let (cookie, client) = (String::new(), http_client());
        Self { port, sandbox_port, cookie, client, checks_answers: false }
    }

    /// Returns the base URL, which is also the `Origin` of requests that change something.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url())
    }

    /// Returns a POST of this session, as the product's own pages send it.
    pub fn post(&self, path: &str) -> ApiRequest {
        self.change(Method::POST, path)
    }

    /// Returns a DELETE of this session, as the product's own pages send it.
    pub fn delete(&self, path: &str) -> ApiRequest {
        self.change(Method::DELETE, path)
    }

    fn change(&self, method: Method, path: &str) -> ApiRequest {
        let request = self
            .client
            .request(method, self.url(path))
            .header(header::ORIGIN, self.base_url())
            .header(header::COOKIE, &self.cookie);
        ApiRequest::new(request, self.checks_answers)
    }

    /// Returns a GET of this session.
    pub fn get(&self, path: &str) -> ApiRequest {
        let request = self.client.get(self.url(path)).header(header::COOKIE, &self.cookie);
        ApiRequest::new(request, self.checks_answers)
    }

    /// Reads a JSON body, whatever the status.
    ///
    /// # Errors
    /// The server does not answer, or not in JSON.
    pub async fn get_json(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.get(path).send().await?.json().await?)
    }

    /// Invites a new user from this account, and returns their client, which
    /// uses the node at `port`.
    pub async fn invite_user(&self, email: &str, port: u16) -> anyhow::Result<Self> {
        let form = [("email", email), ("role", "user")];
        let link = self.submit_form(&self.base_url(), "/people", &form).await?;
        let token = link.split_once('=').context("no link")?.1.to_owned();
        let mut person = Self::new(port, self.sandbox_port);
        person.checks_answers = self.checks_answers;
        let form = [("password", PASSWORD)];
        person.cookie =
            person.submit_form(&person.base_url(), &format!("/invite/{token}"), &form).await?;
        Ok(person)
    }

    /// Sends a form of the pages, and returns the cookie that the response sets.
    async fn submit_form(
        &self,
        base: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        // The redirect itself sets the cookie.
        let client = Client::builder().redirect(Policy::none()).build()?;
        let request = client.post(format!("{base}{path}")).header(header::ORIGIN, base);
        let answer = request.header(header::COOKIE, &self.cookie).form(form).send().await?;
        first_cookie(&expect_status(answer, StatusCode::SEE_OTHER).await?)
    }

    pub async fn sign_in(&mut self) -> anyhow::Result<()> {
        let who = SignIn { email: ADMIN_EMAIL.into(), password: PASSWORD.into() };
        let answer = self.post("/api/v1/session").json(&who).send().await?;
        let answer = expect_status(answer, StatusCode::NO_CONTENT).await?;
        self.cookie = first_cookie(&answer)?;
        Ok(())
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.get(&format!("/api/v1{path}")).send().await?;
        Ok(expect_status(answer, StatusCode::OK).await?.json().await?)
    }

    /// Reads a page or an endpoint to the last byte of its response.
    pub async fn fetch_page(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.get(path).send().await?;
        expect_status(answer, StatusCode::OK).await?.bytes().await?;
        Ok(())
    }

    /// Uploads `csv` to [`CHANNELS`].
    pub async fn upload(&self, csv: String, key: &str) -> anyhow::Result<Job> {
        accepted_job(self.send_upload(CHANNELS, csv, key).await?).await
    }

    /// Uploads `csv` under the name `file` to the first channel.
    pub async fn upload_named_file(
        &self,
        file: &str,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Job> {
        let path = format!("/api/v1/jobs/product-uploads?channels=acme&file={file}");
        let request = self.post(&path).header("Idempotency-Key", key).body(csv);
        accepted_job(request.send().await?).await
    }

    /// Returns the number of unread notifications.
    pub async fn count_unread_notifications(&self) -> anyhow::Result<usize> {
        Ok(usize::try_from(self.fetch::<Inbox>("/notifications").await?.unread)?)
    }

    /// Uploads `csv` to `channels`, a comma-separated list.
    pub async fn upload_to_channels(
        &self,
        channels: &str,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Job> {
        accepted_job(self.send_upload(channels, csv, key).await?).await
    }

    /// Uploads `csv` to [`CHANNELS`], and returns the job, or the detail of a
    /// 503.
    pub async fn upload_or_503(
        &self,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Result<Job, String>> {
        self.upload_to_channels_or_503(CHANNELS, csv, key).await
    }

    /// Uploads `csv` to `channels`, and returns the job, or the detail of a 503.
    pub async fn upload_to_channels_or_503(
        &self,
        channels: &str,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Result<Job, String>> {
        let answer = self.send_upload(channels, csv, key).await?;
        if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
            return accepted_job(answer).await.map(Ok);
        }
        Ok(Err(answer.json::<Problem>().await?.detail))
    }

    async fn send_upload(
        &self,
        channels: &str,
        csv: String,
        key: &str,
    ) -> anyhow::Result<Response> {
        let path = format!("/api/v1/jobs/product-uploads?channels={channels}");
        Ok(self.post(&path).header("Idempotency-Key", key).body(csv).send().await?)
    }

    pub async fn start_instances(&self, ids: &[&str], key: &str) -> anyhow::Result<Job> {
        let instance_ids = ids.iter().map(|&id| id.into()).collect();
        let body = StartInstances { instance_ids, ..StartInstances::default() };
        let request =
            self.post("/api/v1/jobs/ec2-starts").header("Idempotency-Key", key).json(&body);
        accepted_job(request.send().await?).await
    }

    /// Launches `count` tasks that do nothing.
    pub async fn run_noops(&self, count: u32) -> anyhow::Result<Job> {
        accepted_job(self.post("/api/v1/jobs/noops").json(&RunNoops { count }).send().await?).await
    }

    pub async fn cancel(&self, job: JobId) -> anyhow::Result<Job> {
        self.cancel_unless_ended(job).await?.context("the job has ended already")
    }

    /// Cancels a job; `None` if it has ended already.
    pub async fn cancel_unless_ended(&self, job: JobId) -> anyhow::Result<Option<Job>> {
        let answer = self.post(&format!("/api/v1/jobs/{job}/cancel")).send().await?;
        match answer.status() {
            StatusCode::CONFLICT => Ok(None),
            _ => accepted_job(answer).await.map(Some),
        }
    }

    /// Retries all failed tasks of a job.
    pub async fn retry_failed_tasks(&self, job: JobId) -> anyhow::Result<Job> {
        self.retry(job, RetryState::Failed).await
    }

    /// Retries all cancelled tasks of a job.
    pub async fn retry_cancelled_tasks(&self, job: JobId) -> anyhow::Result<Job> {
        self.retry(job, RetryState::Cancelled).await
    }

    async fn retry(&self, job: JobId, state: RetryState) -> anyhow::Result<Job> {
        let which = RetryRequest { state: Some(state), ..RetryRequest::default() };
        let request = self.post(&format!("/api/v1/jobs/{job}/retry")).json(&which);
        accepted_job(request.send().await?).await
    }

    pub async fn job(&self, job: JobId) -> anyhow::Result<Job> {
        self.fetch(&format!("/jobs/{job}")).await
    }

    /// Returns whether the server knows the job.
    pub async fn has_job(&self, job: JobId) -> anyhow::Result<bool> {
        let answer = self.get(&format!("/api/v1/jobs/{job}")).send().await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => expect_status(answer, StatusCode::OK).await.map(|_| true),
        }
    }

    pub async fn jobs(&self) -> anyhow::Result<Page<Job>> {
        self.fetch("/jobs?limit=200").await
    }

    pub async fn channels(&self) -> anyhow::Result<Vec<Channel>> {
        Ok(self.fetch::<Page<Channel>>("/channels").await?.items)
    }

    /// Returns the page of a job's tasks that follows `cursor`.
    pub async fn tasks_page(&self, job: JobId, cursor: Option<&str>) -> anyhow::Result<Page<Task>> {
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        self.fetch(&format!("/jobs/{job}/tasks?limit=200{cursor}")).await
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

    /// Returns a task with its attempts.
    pub async fn task(&self, task: TaskId) -> anyhow::Result<TaskDetail> {
        self.fetch(&format!("/tasks/{task}")).await
    }

    pub async fn journal(&self, job: JobId) -> anyhow::Result<Vec<Fact>> {
        let mut facts: Vec<Fact> = Vec::new();
        loop {
            let after = facts.last().map_or(0, |fact| fact.seq);
            let page: Page<Fact> =
                self.fetch(&format!("/jobs/{job}/journal?after={after}")).await?;
            facts.extend(page.items);
            if page.next.is_none() {
                return Ok(facts);
            }
        }
    }
}

/// Returns the first cookie that a response sets.
fn first_cookie(answer: &Response) -> anyhow::Result<String> {
    let cookie = answer.headers().get(header::SET_COOKIE).context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn accepted_job(answer: Response) -> anyhow::Result<Job> {
    Ok(expect_status(answer, StatusCode::ACCEPTED).await?.json::<LaunchResponse>().await?.job)
}

async fn expect_status(answer: Response, status: StatusCode) -> anyhow::Result<Response> {
    if answer.status() != status {
        bail!("{} instead of {status}: {}", answer.status(), answer.text().await?);
    }
    Ok(answer)
}

/// Returns a CSV file of `products` products.
pub fn product_csv(products: usize) -> String {
    product_csv_with_prefix("MW", products)
}

/// Returns a CSV file of `products` products whose SKUs begin with `prefix`.
pub fn product_csv_with_prefix(prefix: &str, products: usize) -> String {
    let mut csv = String::from("sku,title,price,description\n");
    for n in 1..=products {
        // Writing to a string can't fail.
        let _ =
            writeln!(csv, "{prefix}-{n:05},Lamp {n},19.90,A lamp for desk and wall with a dimmer");
    }
    csv
}
