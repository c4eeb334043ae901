//! Data that a page loads: first with its HTML, later from the server.
//!
//! All resources have one type for the compiler, whatever their responses are. Every
//! further type of a resource, a transition or a future costs some 12 kB of wasm.

use crate::page_data::query::{PageQuery, RawJson, TypedQuery, run_query};
use leptos::prelude::*;
use serde::de::DeserializeOwned;
use std::{marker::PhantomData, sync::Arc};

type QueryResult = Result<RawJson, ServerFnError>;
/// Query and its version. A new version runs the query again.
type VersionedQuery = (Option<PageQuery>, [u64; 3]);

/// Response of a query. It is loaded again when the query or its version changes.
pub struct PageResource<T> {
    resource: Resource<QueryResult>,
    response: PhantomData<fn() -> T>,
}

impl<T> Clone for PageResource<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PageResource<T> {}

impl<T: DeserializeOwned + 'static> PageResource<T> {
    /// Runs the query again whenever a signal that it reads changes.
    pub fn new(query: impl Fn() -> TypedQuery<T> + Send + Sync + 'static) -> Self {
        Self::with_version(move || (query(), [0; 3]))
    }

    /// Also runs the query again when the version changes.
    pub fn with_version(
        query: impl Fn() -> (TypedQuery<T>, [u64; 3]) + Send + Sync + 'static,
    ) -> Self {
        let source = move || {
            let (query, version) = query();
            (Some(query.query), version)
        };
        Self { resource: create_resource(Box::new(source)), response: PhantomData }
    }

    pub fn refetch(self) {
        self.resource.refetch();
    }

    /// Renders the response with `show`, or the error with `failed`. Until the first
    /// response there is a loading text; after that, the previous content.
    pub fn view(
        self,
        words: &'static str,
        show: impl Fn(T) -> AnyView + Send + Sync + 'static,
        failed: fn(&ServerFnError) -> AnyView,
    ) -> AnyView {
        let show = move |text: QueryResult| match text.and_then(|text| text.parse()) {
            Ok(answer) => show(answer),
            Err(error) => failed(&error),
        };
        transition_view(self.resource, words, Arc::new(show))
    }
}

impl<T: DeserializeOwned + 'static> PageResource<Option<T>> {
    /// Creates a resource that may have no query; its response is `None` then.
    pub fn optional(
        query: impl Fn() -> Option<(TypedQuery<Option<T>>, [u64; 3])> + Send + Sync + 'static,
    ) -> Self {
        let source = move || match query() {
            Some((query, version)) => (Some(query.query), version),
            None => (None, [0; 3]),
        };
        Self { resource: create_resource(Box::new(source)), response: PhantomData }
    }
}

fn create_resource(source: Box<dyn Fn() -> VersionedQuery + Send + Sync>) -> Resource<QueryResult> {
    Resource::new(source, async |(query, _)| match query {
        Some(query) => run_query(query).await,
        None => Ok(RawJson::null()),
    })
}

fn transition_view(
    resource: Resource<QueryResult>,
    words: &'static str,
    show: Arc<dyn Fn(QueryResult) -> AnyView + Send + Sync>,
) -> AnyView {
    view! {
        <Transition fallback=move || (!words.is_empty()).then(|| view! { <p class="loading">{words}</p> })>
            {move || {
                let show = Arc::clone(&show);
                Suspend::new(async move { show(resource.await) })
            }}
        </Transition>
    }
    .into_any()
}
