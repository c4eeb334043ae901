//! `meanwhile jobs`, `job`, `cancel` and `retry`.

use crate::{
    api_client::ApiClient,
    arguments::{ClientOptions, JobArguments, JobsArguments, RetryArguments, WatchOptions},
    error::{Completion, Error, watch_command},
    output::{print_json, print_line},
    timestamp,
    watch::watch,
    words,
};
use contract::api::{Job, LaunchResponse, Page, RetryRequest};
use serde_json::{Value, json};

/// Lists jobs, the newest first.
pub async fn list(arguments: JobsArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    let state = arguments.state.map(|state| format!("&state={state}")).unwrap_or_default();
    let body = api.get(&format!("/jobs?limit={}{state}", arguments.limit)).await?;
    if arguments.client.json {
        print_json(&body)?;
        return Ok(Completion::Success);
    }
    let page: Page<Job> = api.parse(body)?;
    for job in &page.items {
        let (at, state) = (timestamp::for_people(&job.created_at), words::job_state(job));
        let counts = &job.counts;
        let progress = format!("{}/{}", counts.finished(), counts.total);
        print_line(&format!("{}  {at}  {state:<13} {progress:>11}  {}", job.id, job.title))?;
    }
    if page.items.is_empty() {
        print_line("There are no jobs.")?;
    }
    Ok(Completion::Success)
}

/// Shows a job, or watches it to its end.
pub async fn show(arguments: JobArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    // Also before it is watched: a server that is away from the start is an error.
    let body = api.get(&format!("/jobs/{}", arguments.id)).await?;
    if arguments.watch.watch {
        return watch(&api, arguments.id, arguments.watch, &arguments.client).await;
    }
    let job: Job = api.parse(body.clone())?;
    match arguments.client.json {
        true => print_json(&body)?,
        false => print_job(&job)?,
    }
    Ok(Completion::of(&job))
}

fn print_job(job: &Job) -> Result<(), Error> {
    print_line(&format!("Job {}: {}", job.id, job.title))?;
    print_line(&format!("  launched {} UTC", timestamp::for_people(&job.created_at)))?;
    let state = words::job_state(job);
    match &job.finished_at {
        None => {
            let left = job.eta_ms.map(|ms| format!(", {} left", words::remaining(ms)));
            let left = left.unwrap_or_default();
            print_line(&format!("  {state}: {}{left}", words::counts(&job.counts)))
        }
        Some(at) => {
            print_line(&format!("  {state}, ended {} UTC", timestamp::for_people(at)))?;
            print_line(&words::job_end(job))
        }
    }
}

/// Cancels a job.
pub async fn cancel(arguments: JobArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    let body = api.post(&format!("/jobs/{}/cancel", arguments.id), &json!({})).await?;
    report(&api, body, "Cancelling", arguments.watch, &arguments.client).await
}

/// Runs items again.
pub async fn retry(arguments: RetryArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    let request = RetryRequest {
        tasks: (!arguments.task.is_empty()).then_some(arguments.task),
        state: arguments.state.and_then(|state| state.parse().ok()),
        channel: arguments.channel,
    };
    let body = api.post(&format!("/jobs/{}/retry", arguments.id), &request).await?;
    report(&api, body, "Started again", arguments.watch, &arguments.client).await
}

/// Says that a request about a job was accepted, or watches the job.
///
/// # Errors
/// Those of [`watch()`]; stdout can't be written.
pub async fn report(
    api: &ApiClient,
    body: Value,
    done: &str,
    options: WatchOptions,
    client: &ClientOptions,
) -> Result<Completion, Error> {
    let LaunchResponse { job } = api.parse(body.clone())?;
    if options.watch {
        return watch(api, job.id, options, client).await;
    }
    if client.json {
        print_json(&body)?;
        return Ok(Completion::Success);
    }
    print_line(&format!("{done}: {}, {}.", job.title, words::count(job.counts.total, "item")))?;
    print_line(&format!("Watch it: {}", watch_command(job.id, client.profile.as_deref())))?;
    Ok(Completion::Success)
}
