//! What a page loads: with its HTML at first, from the server after that.
//!
//! All of it is of one type for the compiler, whatever the answers are. Each
//! type that a resource, a transition or a future has of its own makes some
//! 12 kB of wasm.

use crate::data::ask::{Ask, Question, Text, answer};
use leptos::prelude::*;
use serde::de::DeserializeOwned;
use std::{marker::PhantomData, sync::Arc};

type Answer = Result<Text, ServerFnError>;
/// What is asked, and how new the answer must be.
type Asked = (Option<Question>, [u64; 3]);

/// An answer that may be there, and comes anew when its question changes.
pub struct Loaded<T> {
    resource: Resource<Answer>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Clone for Loaded<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Loaded<T> {}

impl<T: DeserializeOwned + 'static> Loaded<T> {
    /// Asks whenever what `ask` reads has changed.
    pub fn new(ask: impl Fn() -> Ask<T> + Send + Sync + 'static) -> Self {
        Self::versioned(move || (ask(), [0; 3]))
    }

    /// Asks anew when the numbers are others, too.
    pub fn versioned(ask: impl Fn() -> (Ask<T>, [u64; 3]) + Send + Sync + 'static) -> Self {
        let asked = move || {
            let (ask, version) = ask();
            (Some(ask.question), version)
        };
        Self { resource: resource(Box::new(asked)), answer: PhantomData }
    }

    pub fn refetch(self) {
        self.resource.refetch();
    }

    /// `show` of the answer where it is there, `failed` of why it is not;
    /// until then `words`, and what was there before.
    pub fn view(
        self,
        words: &'static str,
        show: impl Fn(T) -> AnyView + Send + Sync + 'static,
        failed: fn(&ServerFnError) -> AnyView,
    ) -> AnyView {
        let show = move |text: Answer| match text.and_then(|text| text.read()) {
            Ok(answer) => show(answer),
            Err(error) => failed(&error),
        };
        view(self.resource, words, Arc::new(show))
    }
}

impl<T: DeserializeOwned + 'static> Loaded<Option<T>> {
    /// The same where there may be nothing to ask.
    pub fn perhaps(
        ask: impl Fn() -> Option<(Ask<Option<T>>, [u64; 3])> + Send + Sync + 'static,
    ) -> Self {
        let asked = move || match ask() {
            Some((ask, version)) => (Some(ask.question), version),
            None => (None, [0; 3]),
        };
        Self { resource: resource(Box::new(asked)), answer: PhantomData }
    }
}

fn resource(asked: Box<dyn Fn() -> Asked + Send + Sync>) -> Resource<Answer> {
    Resource::new(asked, async |(question, _)| match question {
        Some(question) => answer(question).await,
        None => Ok(Text::nothing()),
    })
}

fn view(
    resource: Resource<Answer>,
    words: &'static str,
    show: Arc<dyn Fn(Answer) -> AnyView + Send + Sync>,
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
