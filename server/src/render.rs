//! Renders documents and runs server functions so that no reactive state is
//! shared between requests.
//!
//! Leptos keeps the current reactive owner in a thread-local. A render sets it
//! and leaves it there while it waits, so the next task on the thread would find
//! the contexts of another request, or a disposed one. A render therefore takes its
//! owner along from poll to poll, and leaves each thread without one. It also ends
//! before its response begins, so that slow clients don't prolong the life of its
//! state.

use crate::problem::Problem;
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use leptos::{IntoView, prelude::Owner};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Renders `document` as the response to `request`, with the contexts that `provide`
/// provides.
pub async fn page<V: IntoView + 'static>(
    provide: impl Fn() + Clone + Send + Sync + 'static,
    document: impl Fn() -> V + Clone + Send + Sync + 'static,
    request: Request,
) -> Response {
    // The router of the pages panics without a path.
    if request.uri().path_and_query().is_none() {
        let detail = "This request names no page. Send a path that begins with `/`.";
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    }
    #[allow(clippy::disallowed_methods)]
    let render = leptos_axum::render_app_async_with_context(provide, document);
    OwnerScope::new(async move { buffer_body(render(request).await).await }).await
}

/// Runs the server function that `request` names, with the contexts that
/// `provide` provides.
pub async fn server_function(
    provide: impl Fn() + Clone + Send + 'static,
    request: Request,
) -> Response {
    OwnerScope::new(async move {
        #[allow(clippy::disallowed_methods)]
        let response = leptos_axum::handle_server_fns_with_context(provide, request).await;
        buffer_body(response.into_response()).await
    })
    .await
}

/// Waits for the whole body: the reactive owner is disposed when it ends.
async fn buffer_body(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(body) => Response::from_parts(parts, Body::from(body)),
        Err(error) => {
            tracing::error!(%error, "rendering a page failed");
            Problem::internal_error().into_response()
        }
    }
}

/// Future with a reactive owner of its own: the owner that is current at the end of
/// a poll is current again in the next one, on any thread.
struct OwnerScope<F> {
    owner: Option<Owner>,
    future: Pin<Box<F>>,
}

impl<F: Future> OwnerScope<F> {
    fn new(future: F) -> Self {
        Self { owner: None, future: Box::pin(future) }
    }
}

impl<F: Future> Future for OwnerScope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        unset_owner();
        let _unset = UnsetOwner;
        if let Some(owner) = &self.owner {
            owner.set();
        }
        let polled = self.future.as_mut().poll(context);
        self.owner = Owner::current();
        polled
    }
}

/// Guard that leaves the thread without an owner, also when a poll panics.
struct UnsetOwner;

impl Drop for UnsetOwner {
    fn drop(&mut self) {
        unset_owner();
    }
}

fn unset_owner() {
    if let Some(owner) = Owner::current() {
        owner.unset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leptos::{context::use_context, prelude::provide_context};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tokio::task::yield_now;

    /// Sets an owner and leaves it set, like a render.
    async fn render(request: u32) -> [Option<u32>; 2] {
        let owner = Owner::new_root(None);
        provide_context(request);
        let at_first = use_context::<u32>();
        yield_now().await;
        let later = use_context::<u32>();
        drop(owner);
        [at_first, later]
    }

    #[tokio::test]
    async fn interleaved_renders_keep_their_own_contexts() {
        let (one, two) = tokio::join!(OwnerScope::new(render(1)), OwnerScope::new(render(2)));
        assert_eq!([one, two], [[Some(1), Some(1)], [Some(2), Some(2)]]);
        assert_eq!(use_context::<u32>(), None, "nothing is left on the thread");
    }

    #[tokio::test]
    async fn render_starts_without_a_foreign_owner() {
        let _left = Owner::new_root(None);
        provide_context(7_u32);
        let found = OwnerScope::new(async { use_context::<u32>() }).await;
        assert_eq!(found, None);
    }

    #[test]
    fn panicking_render_leaves_no_owner_on_its_thread() {
        let owner = std::sync::Mutex::new(None);
        let mut render = std::pin::pin!(OwnerScope::new(async {
            *owner.lock().unwrap() = Some(Owner::new_root(None));
            provide_context(7_u32);
            panic!("the render fails");
        }));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| render.as_mut().poll(&mut context)));
        assert!(polled.is_err() && owner.lock().unwrap().is_some());
        assert_eq!(use_context::<u32>(), None);
    }
}
