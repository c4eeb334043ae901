//! What the user was told.

use crate::{
    data::{InboxPage, read_inbox},
    frame::Frame,
    live::Live,
    words,
};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn Inbox() -> impl IntoView {
    let live = expect_context::<Live>();
    let page = Resource::new(
        move || (live.resync.get(), live.toast.with(|toast| toast.as_ref().map(|told| told.seq))),
        |_| read_inbox(),
    );
    view! {
        <Title text="Inbox"/>
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => content(page),
                    Err(error) => super::job::failed(&error).into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

fn content(page: InboxPage) -> AnyView {
    let InboxPage { since, inbox } = page;
    let newest = inbox.items.first().map(|item| item.seq).unwrap_or_default();
    let lines = inbox
        .items
        .into_iter()
        .map(|item| {
            view! {
                <a class="line" class:unread=!item.read href=format!("/jobs/{}", item.job)>
                    <strong>{item.title}</strong>
                    <span>{item.text}</span>
                    <small>{words::time(item.at)}</small>
                </a>
            }
        })
        .collect_view();
    view! {
        <Frame since=since>
            <h1>"Inbox"</h1>
            {if newest == 0 {
                view! { <p>"Nothing yet. You are told here when a job ends."</p> }.into_any()
            } else {
                view! {
                    <form method="post" action="/notifications/read">
                        <input type="hidden" name="up_to" value=newest.to_string()/>
                        <button>"Mark all as read"</button>
                    </form>
                }
                    .into_any()
            }}
            <div class="lines">{lines}</div>
        </Frame>
    }
    .into_any()
}
