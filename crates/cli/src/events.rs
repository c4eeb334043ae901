//! `meanwhile events`.

use crate::{
    api_client::ApiClient,
    arguments::EventsArguments,
    error::{Completion, Error},
    event_stream::{EventStream, StreamEvent},
    output::{print_json, print_line, print_note},
    timestamp, words,
};
use contract::fact::Fact;
use serde_json::Value;
use std::time::Duration;

/// Prints the facts of the user, or of one job, as they come, until the person presses Ctrl-C.
pub async fn follow(arguments: EventsArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    // An unknown id would wait forever, and a server that is away from the start is an error.
    match arguments.job {
        Some(job) => api.get(&format!("/jobs/{job}")).await?,
        None => api.get("/jobs?limit=1").await?,
    };
    let max_offline = Duration::from_secs(arguments.max_offline_s);
    let mut stream = EventStream::new(api.connection.clone(), arguments.after, max_offline);
    let printed = tokio::select! {
        result = print(&mut stream, &arguments) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    printed?;
    Err(Error::EventsInterrupted { after: stream.position().unwrap_or(0) })
}

async fn print(stream: &mut EventStream, arguments: &EventsArguments) -> Result<(), Error> {
    let mut was_lost = false;
    loop {
        match stream.next().await? {
            StreamEvent::Connected { recovered } => {
                if !recovered {
                    print_note(
                        "Events are missing here: the position is older than the server can \
                         replay. `meanwhile jobs` has the state of now.",
                    );
                } else if was_lost {
                    print_note("Connected again. Nothing was missed.");
                }
                was_lost = false;
            }
            StreamEvent::Lost { reason } => {
                was_lost = true;
                print_note(&format!("The connection is lost: {reason}. Connecting again …"));
            }
            StreamEvent::Fact(frame) => {
                let job = frame.json["job"].as_str().and_then(|job| job.parse().ok());
                if arguments.job.is_some() && arguments.job != job {
                    continue;
                }
                match arguments.client.json {
                    true => print_json(&frame.json)?,
                    false => print_line(&sentence(frame.seq, frame.json))?,
                }
            }
            StreamEvent::Other(_) => {}
        }
    }
}

/// Returns a fact in a line: when, its number, what, and about what.
fn sentence(seq: i64, json: Value) -> String {
    let Ok(fact) = serde_json::from_value::<Fact>(json.clone()) else {
        let kind = json["kind"].as_str().unwrap_or("unknown");
        return format!("{seq}  {kind}");
    };
    let at = timestamp::for_people(&fact.at);
    let about = match (&fact.data.task, &fact.data.job) {
        (Some(task), _) => {
            let reason = words::task_reason(task);
            let gap = if reason.is_empty() { "" } else { ": " };
            format!("{}{gap}{reason}", words::task_subject(task))
        }
        (None, Some(job)) => format!("{} ({})", job.title, words::counts(&job.counts)),
        (None, None) => String::new(),
    };
    format!("{at}  {seq}  {}  {about}", fact.kind)
}
