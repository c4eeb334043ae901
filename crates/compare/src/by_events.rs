//! By events: Meanwhile. The server is the product itself, and this is only what a browser or a
//! program sends to its API: `docs/ARCHITECTURE.md` has the rest.

use crate::{
    batch::{Batch, CHANNEL},
    person::{Person, Receipt},
};
use contract::{
    api::{Inbox, Job, LaunchResponse, SignIn, StartInstances},
    comparison::Notice,
};
use reqwest::header;

/// Email address of the account that is made for the comparison.
pub const EMAIL: &str = "compare@example.com";

/// Signs in, and returns the session's cookie.
///
/// # Errors
/// No answer came, or the account is refused.
pub(crate) async fn sign_in(person: &Person, password: &str) -> Result<String, reqwest::Error> {
    let who = SignIn { email: EMAIL.into(), password: password.to_owned() };
    let answer = person.post("/api/v1/session").json(&who).send().await?.error_for_status()?;
    let cookie = answer.headers().get(header::SET_COOKIE).and_then(|it| it.to_str().ok());
    Ok(cookie.and_then(|it| it.split(';').next()).unwrap_or_default().to_owned())
}

/// Launches the start of the machine and the upload: each is answered with 202 after the commit.
///
/// # Errors
/// No answer came, or it was an error.
pub(crate) async fn send(person: &Person, batch: &Batch) -> Result<Receipt, reqwest::Error> {
    let start =
        StartInstances { instance_ids: vec![batch.machine.clone()], ..StartInstances::default() };
    let upload = format!("/api/v1/jobs/product-uploads?channels={CHANNEL}&file=lamps.csv");
    let mut receipt = Receipt::default();
    for request in [
        person.post("/api/v1/jobs/ec2-starts").json(&start),
        person.post(&upload).body(batch.csv()),
    ] {
        let answer: LaunchResponse = request.send().await?.error_for_status()?.json().await?;
        receipt.ids.push(answer.job.id.to_string());
    }
    Ok(receipt)
}

/// Returns whether the jobs of a launch have finished.
///
/// # Errors
/// No answer came, or it was an error.
pub(crate) async fn is_finished(
    person: &Person,
    receipt: &Receipt,
) -> Result<bool, reqwest::Error> {
    for id in &receipt.ids {
        let answer = person.get(&format!("/api/v1/jobs/{id}")).send().await?;
        let job: Job = answer.error_for_status()?.json().await?;
        if job.counts.open > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns how the person learns the outcome: by a notification for each job.
///
/// # Errors
/// No answer came, or it was an error.
pub(crate) async fn notice(person: &Person, receipt: &Receipt) -> Result<Notice, reqwest::Error> {
    let answer = person.get("/api/v1/notifications").send().await?.error_for_status()?;
    let inbox: Inbox = answer.json().await?;
    let has_notification =
        |id: &String| inbox.items.iter().any(|notification| notification.job.to_string() == *id);
    Ok(match receipt.ids.iter().all(has_notification) {
        true => Notice::Notification,
        false => Notice::None,
    })
}
