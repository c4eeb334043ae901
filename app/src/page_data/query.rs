//! The single server function that pages load their data with.
//!
//! A server function for each page, and a resource for each response type, made
//! up half of the wasm. So there is one function that returns JSON, and each page
//! parses its own type.

use contract::api::GridFilter;
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::marker::PhantomData;

/// Query of a page. A function of the same name in the modules of
/// [`page_data`](super) runs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageQuery {
    Launch,
    RecentJobs,
    Jobs { before: Option<String>, state: Option<String>, kind: Option<String>, q: Option<String> },
    Machines,
    Job { id: String, filter: GridFilter, q: String, offset: u32 },
    Grid { id: String, filter: GridFilter, q: String, offset: u32, limit: u32 },
    Flow { id: String },
    Timeline { id: String, before: Option<i64> },
    Task { id: String },
    Inbox,
    Search { q: String },
    People,
    Account,
}

/// Query together with the type of its response.
#[derive(Debug)]
pub struct TypedQuery<T> {
    pub(crate) query: PageQuery,
    response: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> TypedQuery<T> {
    /// Only the modules of [`page_data`](super) know the response type of a query.
    pub(super) const fn new(query: PageQuery) -> Self {
        Self { query, response: PhantomData }
    }

    /// Runs the query once.
    ///
    /// # Errors
    /// Fails if nobody is signed in, the object does not exist, or the database or
    /// the server did not answer.
    pub async fn fetch(self) -> Result<T, ServerFnError> {
        run_query(self.query).await.and_then(|text| text.parse())
    }
}

/// Response as unparsed JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// # Errors
    /// Fails if the JSON is not a valid `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ServerFnError> {
        serde_json::from_str(self.0.get())
            .map_err(|error| ServerFnError::Deserialization(error.to_string()))
    }

    /// JSON `null`, for a resource without a query.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    #[cfg(feature = "ssr")]
    fn from_value(answer: &impl Serialize) -> Result<Self, ServerFnError> {
        let text = serde_json::value::to_raw_value(answer);
        text.map(Self).map_err(|error| ServerFnError::Serialization(error.to_string()))
    }
}

/// Runs a query for the signed-in user.
#[server(input = Json)]
pub async fn run_query(query: PageQuery) -> Result<RawJson, ServerFnError> {
    use super::{inbox, job, launch, people, search, server};
    let request = server::request_context()?;
    match query {
        PageQuery::Launch => RawJson::from_value(&launch::launch(request).await?),
        PageQuery::RecentJobs => RawJson::from_value(&launch::recent_jobs(request).await?),
        PageQuery::Jobs { before, state, kind, q } => {
            RawJson::from_value(&launch::jobs(request, before, state, kind, q).await?)
        }
        PageQuery::Machines => RawJson::from_value(&launch::machines(request).await?),
        PageQuery::Job { id, filter, q, offset } => {
            RawJson::from_value(&job::job(request, &id, filter, q, offset).await?)
        }
        PageQuery::Grid { id, filter, q, offset, limit } => {
            RawJson::from_value(&job::grid(request, &id, filter, q, offset, limit).await?)
        }
        PageQuery::Flow { id } => RawJson::from_value(&job::flow(request, &id).await?),
        PageQuery::Timeline { id, before } => {
            RawJson::from_value(&job::timeline(request, &id, before).await?)
        }
        PageQuery::Task { id } => RawJson::from_value(&job::task(request, &id).await?),
        PageQuery::Inbox => RawJson::from_value(&inbox::inbox(request).await?),
        PageQuery::Search { q } => RawJson::from_value(&search::search(request, &q).await?),
        PageQuery::People => RawJson::from_value(&people::people(request).await?),
        PageQuery::Account => RawJson::from_value(&people::account(request).await?),
    }
}
