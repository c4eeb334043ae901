//! The pages' plain forms: they work with and without scripts, and answer
//! with where to go next.

pub mod people;

use crate::{api, client::Client, problem::Problem, session, session::SignedIn, state::State};
use axum::{
    Form,
    extract::{Multipart, Path, State as Extract},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use contract::{
    JobId, TaskId,
    api::{ResolveAs, RetryWhich, SignIn},
};
use engine::{engine::Upload, store::Control};
use serde::Deserialize;

/// Back to `page`, which shows the problem.
fn back(page: &str, problem: &Problem) -> Response {
    let mut words = String::new();
    for byte in problem.detail.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                words.push(char::from(byte));
            }
            _ => words.push_str(&format!("%{byte:02X}")),
        }
    }
    let and = if page.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{page}{and}problem={words}")).into_response()
}

fn signed_in(result: Result<axum::http::HeaderValue, Problem>, page: &str) -> Response {
    match result {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(problem) => back(page, &problem),
    }
}

#[derive(Deserialize)]
pub struct SetUp {
    email: String,
    password: String,
    #[serde(default)]
    token: String,
}

pub async fn set_up(Extract(state): Extract<State>, Form(who): Form<SetUp>) -> Response {
    signed_in(session::set_up(&state, &who.email, who.password, &who.token).await, "/setup")
}

pub async fn sign_in(
    Extract(state): Extract<State>,
    Client(address): Client,
    Form(who): Form<SignIn>,
) -> Response {
    let result = session::sign_in(&state, address, &who.email, who.password).await;
    signed_in(result, "/sign-in")
}

pub async fn sign_out(Extract(state): Extract<State>, who: SignedIn) -> Result<Response, Problem> {
    api::end_session(&state, who).await?;
    let cookie = session::no_cookie(&state)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

/// The fields of the launch form.
#[derive(Default)]
struct Launch {
    key: Option<String>,
    file: String,
    bytes: Vec<u8>,
    channels: Vec<String>,
    skip_bad: bool,
}

impl Launch {
    async fn read(mut form: Multipart) -> Result<Self, Problem> {
        let broken = |error: axum::extract::multipart::MultipartError| {
            let words = match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "A file may have up to 32 MiB. Split it.",
                _ => "The form did not arrive whole. Try again.",
            };
            Problem::new(error.status(), words)
        };
        let mut launch = Self::default();
        while let Some(field) = form.next_field().await.map_err(broken)? {
            match field.name().unwrap_or_default() {
                "file" => {
                    launch.file = field.file_name().unwrap_or_default().to_owned();
                    launch.bytes = field.bytes().await.map_err(broken)?.to_vec();
                }
                "key" => launch.key = Some(field.text().await.map_err(broken)?),
                "channels" => launch.channels.push(field.text().await.map_err(broken)?),
                "skip_bad" => launch.skip_bad = true,
                _ => {}
            }
        }
        Ok(launch)
    }
}

pub async fn upload(Extract(state): Extract<State>, who: SignedIn, form: Multipart) -> Response {
    let launched = async {
        let launch = Launch::read(form).await?;
        if launch.file.is_empty() && launch.bytes.is_empty() {
            let words = "Choose a CSV file first.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words));
        }
        accept(&state, &who, &launch).await
    };
    went(launched.await)
}

/// The sample of 150 products, for a first try.
pub async fn sample(Extract(state): Extract<State>, who: SignedIn, form: Multipart) -> Response {
    let launched = async {
        let mut launch = Launch::read(form).await?;
        launch.file = "sample-150.csv".into();
        launch.bytes = sample_csv().into_bytes();
        accept(&state, &who, &launch).await
    };
    went(launched.await)
}

fn sample_csv() -> String {
    const THINGS: [&str; 10] =
        ["Lamp", "Chair", "Table", "Shelf", "Mirror", "Rug", "Vase", "Clock", "Desk", "Stool"];
    const KINDS: [&str; 15] = [
        "Oak", "Birch", "Walnut", "Brass", "Linen", "Wool", "Cotton", "Slate", "Cork", "Copper",
        "Marble", "Bamboo", "Steel", "Glass", "Ash",
    ];
    let mut csv = String::from("sku,title,price\n");
    for (k, kind) in KINDS.iter().enumerate() {
        for (t, thing) in THINGS.iter().enumerate() {
            let number = k * THINGS.len() + t + 1;
            csv.push_str(&format!("MW-{number:03},{kind} {thing},{}.90\n", 19 + number % 80));
        }
    }
    csv
}

async fn accept(state: &State, who: &SignedIn, launch: &Launch) -> Result<JobId, Problem> {
    let job = state
        .engine
        .upload(Upload {
            user: who.identity.user,
            file: &launch.file,
            bytes: &launch.bytes,
            channels: &launch.channels,
            skip_bad: launch.skip_bad,
            idempotency_key: launch.key.clone().filter(|key| !key.is_empty()),
        })
        .await?;
    Ok(job.id)
}

fn went(launched: Result<JobId, Problem>) -> Response {
    match launched {
        Ok(job) => Redirect::to(&format!("/jobs/{job}?accepted=1")).into_response(),
        Err(problem) => back("/", &problem),
    }
}

#[derive(Deserialize)]
pub struct Which {
    channel: Option<String>,
    task: Option<TaskId>,
    /// What the job's page showed, as the query of its address.
    #[serde(default)]
    shown: String,
}

pub async fn control(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path((job, what)): Path<(JobId, String)>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let user = who.identity.user;
    let changed = match what.as_str() {
        "cancel" => state.engine.control(user, job, Control::Cancel).await,
        "pause" => state.engine.control(user, job, Control::Pause).await,
        "resume" => state.engine.control(user, job, Control::Resume).await,
        "retry" => {
            let failed = RetryWhich {
                tasks: which.task.map(|task| vec![task]),
                channel: which.channel.filter(|channel| !channel.is_empty()),
            };
            state.engine.retry(user, job, &failed).await
        }
        _ => return Err(Problem::not_found()),
    };
    let page = format!("/jobs/{job}{}", query(&which.shown));
    match changed.map_err(Problem::from) {
        Ok(_) => Ok(Redirect::to(&page).into_response()),
        Err(problem) if problem.status == StatusCode::CONFLICT => Ok(back(&page, &problem)),
        Err(problem) => Err(problem),
    }
}

/// `shown` where it is the query of an address and nothing else.
fn query(shown: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"?=&%_.+-~".contains(&byte);
    if shown.starts_with('?') && shown.bytes().all(plain) { shown } else { "" }
}

#[derive(Deserialize)]
pub struct ResolveForm {
    #[serde(rename = "as")]
    how: ResolveAs,
    #[serde(default)]
    shown: String,
}

pub async fn resolve(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(task): Path<TaskId>,
    Form(form): Form<ResolveForm>,
) -> Result<Redirect, Problem> {
    let job = state.engine.resolve(who.identity.user, task, form.how).await?;
    Ok(Redirect::to(&format!("/jobs/{}{}", job.id, query(&form.shown))))
}

#[derive(Deserialize)]
pub struct ReadForm {
    up_to: i64,
}

pub async fn mark_read(
    Extract(state): Extract<State>,
    who: SignedIn,
    Form(form): Form<ReadForm>,
) -> Result<Redirect, Problem> {
    state.engine.mark_read(who.identity.user, form.up_to).await?;
    Ok(Redirect::to("/inbox"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn the_sample_is_150_good_products() {
        let feed = engine::feed::read(super::sample_csv().as_bytes()).unwrap();
        assert_eq!((feed.products.len(), feed.bad_total), (150, 0));
    }
}
