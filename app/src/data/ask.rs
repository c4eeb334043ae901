//! The one question that pages ask the server.
//!
//! A server function of its own for each page, and a resource of its own for
//! each type that one answers, made half of the wasm. So there is one
//! function, whose answers are JSON, and types come back where a page reads
//! them.

use contract::api::Filter;
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::marker::PhantomData;

/// What can be asked. Each is answered by the function of its name in the
/// modules of [`data`](super).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    Launch,
    Recent,
    Jobs { before: Option<String>, state: Option<String>, kind: Option<String>, q: Option<String> },
    Machines,
    Job { id: String, filter: Filter, q: String, offset: u32 },
    Grid { id: String, filter: Filter, q: String, offset: u32, limit: u32 },
    Flow { id: String },
    Timeline { id: String, before: Option<i64> },
    Task { id: String },
    Inbox,
    Search { q: String },
    People,
    Account,
}

/// A question, and what its answer is.
#[derive(Debug)]
pub struct Ask<T> {
    pub(crate) question: Question,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Ask<T> {
    /// Only the modules of [`data`](super) know which answer is whose.
    pub(super) const fn new(question: Question) -> Self {
        Self { question, answer: PhantomData }
    }

    /// Asks now.
    ///
    /// # Errors
    /// Nobody is signed in, there is no such thing, the database or the
    /// server did not answer.
    pub async fn read(self) -> Result<T, ServerFnError> {
        answer(self.question).await.and_then(|text| text.read())
    }
}

/// An answer as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(Box<RawValue>);

impl Text {
    /// # Errors
    /// It is not JSON of a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ServerFnError> {
        serde_json::from_str(self.0.get())
            .map_err(|error| ServerFnError::Deserialization(error.to_string()))
    }

    /// The answer to what nobody asked.
    pub fn nothing() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    #[cfg(feature = "ssr")]
    fn of(answer: &impl Serialize) -> Result<Self, ServerFnError> {
        let text = serde_json::value::to_raw_value(answer);
        text.map(Self).map_err(|error| ServerFnError::Serialization(error.to_string()))
    }
}

/// Answers `question` for whoever is signed in.
#[server(input = Json)]
pub async fn answer(question: Question) -> Result<Text, ServerFnError> {
    use super::{inbox, job, launch, people, search, server};
    let asker = server::asker()?;
    match question {
        Question::Launch => Text::of(&launch::launch(asker).await?),
        Question::Recent => Text::of(&launch::recent(asker).await?),
        Question::Jobs { before, state, kind, q } => {
            Text::of(&launch::jobs(asker, before, state, kind, q).await?)
        }
        Question::Machines => Text::of(&launch::machines(asker).await?),
        Question::Job { id, filter, q, offset } => {
            Text::of(&job::job(asker, &id, filter, q, offset).await?)
        }
        Question::Grid { id, filter, q, offset, limit } => {
            Text::of(&job::grid(asker, &id, filter, q, offset, limit).await?)
        }
        Question::Flow { id } => Text::of(&job::flow(asker, &id).await?),
        Question::Timeline { id, before } => Text::of(&job::timeline(asker, &id, before).await?),
        Question::Task { id } => Text::of(&job::task(asker, &id).await?),
        Question::Inbox => Text::of(&inbox::inbox(asker).await?),
        Question::Search { q } => Text::of(&search::search(asker, &q).await?),
        Question::People => Text::of(&people::people(asker).await?),
        Question::Account => Text::of(&people::account(asker).await?),
    }
}
