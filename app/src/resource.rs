//! Data that a page loads: first with its HTML, later from the server.

use leptos::prelude::*;
use std::{pin::Pin, sync::Arc};

/// Response of a server function. It is loaded again when its source changes.
pub type ServerResource<T> = Resource<Result<T, ServerFnError>>;

type ViewFuture = Pin<Box<dyn Future<Output = AnyView> + Send>>;

/// Renders the response with `show`, or the error with `show_error`. Until the first
/// response there is the text `loading`; after that, the previous content.
pub fn resource_view<T: Clone + Send + Sync + 'static>(
    resource: ServerResource<T>,
    loading: &'static str,
    show: impl Fn(T) -> AnyView + Send + Sync + 'static,
    show_error: fn(&ServerFnError) -> AnyView,
) -> AnyView {
    let show = Arc::new(show);
    transition(
        loading,
        Arc::new(move || {
            let show = Arc::clone(&show);
            Box::pin(async move {
                match resource.await {
                    Ok(response) => show(response),
                    Err(error) => show_error(&error),
                }
            })
        }),
    )
}

/// Renders what the futures of `content` return. It is not generic, because each further type
/// of a transition costs some 12 kB of wasm.
fn transition(
    loading: &'static str,
    content: Arc<dyn Fn() -> ViewFuture + Send + Sync>,
) -> AnyView {
    view! {
        <Transition fallback=move || (!loading.is_empty()).then(|| view! { <p class="loading">{loading}</p> })>
            {
                let content = Arc::clone(&content);
                move || Suspend::new(content())
            }
        </Transition>
    }
    .into_any()
}
