//! `meanwhile failures`.

use crate::{
    api_client::ApiClient,
    arguments::FailuresArguments,
    error::{Completion, Error},
    output::{print_bytes, print_json, print_line},
    words,
};
use contract::{
    api::{Page, Task},
    feed::BadRow,
    state::TaskState,
};
use serde_json::{Value, json};

/// States of tasks that are not done and not under way, in the order in which they are listed.
const STATES: [TaskState; 4] =
    [TaskState::NeedsReview, TaskState::Rejected, TaskState::Failed, TaskState::Cancelled];

/// Lists what is not done and why, or prints the file to correct.
pub async fn list(arguments: FailuresArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    let id = arguments.id;
    let channel: Vec<_> = arguments.channel.iter().map(|id| ("channel", id.clone())).collect();
    if arguments.csv {
        let name = if arguments.left_out { "left-out.csv" } else { "failed.csv" };
        api.download(&format!("/jobs/{id}/{name}"), &channel, print_bytes).await?;
        return Ok(Completion::Success);
    }
    if arguments.left_out {
        let rows = read_pages(&api, &format!("/jobs/{id}/left-out?limit=200")).await?;
        return print(&api, rows, arguments.client.json, |row: BadRow| words::bad_row(&row));
    }
    let mut tasks = Vec::new();
    let channel = arguments.channel.map(|id| {
        let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        format!("&channel={encoded}")
    });
    let channel = channel.unwrap_or_default();
    for state in STATES {
        let path = format!("/jobs/{id}/tasks?limit=200&state={state}{channel}");
        tasks.extend(read_pages(&api, &path).await?);
    }
    print(&api, tasks, arguments.client.json, |task: Task| {
        let (state, subject) = (words::task_state(task.state), words::task_subject(&task));
        format!("{state:<12}  {}  {subject}  {}", task.id, words::task_reason(&task))
    })
}

/// Reads all pages of a list.
async fn read_pages(api: &ApiClient, path: &str) -> Result<Vec<Value>, Error> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Page<Value> = api.parse(api.get(&format!("{path}{cursor}")).await?)?;
        items.extend(page.items);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(items),
        }
    }
}

/// Prints a list as one page of the API, or each entry in a line.
fn print<T: serde::de::DeserializeOwned>(
    api: &ApiClient,
    items: Vec<Value>,
    as_json: bool,
    line: impl Fn(T) -> String,
) -> Result<Completion, Error> {
    if as_json {
        print_json(&json!({ "items": items, "next": null }))?;
        return Ok(Completion::Success);
    }
    if items.is_empty() {
        print_line("There are none.")?;
    }
    for item in items {
        print_line(&line(api.parse(item)?))?;
    }
    Ok(Completion::Success)
}
