//! What the user was told.

use crate::{
    data::inbox::{InboxPage, ask_inbox},
    frame::{Frame, Notices},
    live::Live,
    load::Loaded,
    page::problem::failed,
    title::Title,
    words,
};
use contract::api::Notification;
use leptos::prelude::*;

#[component]
pub fn Inbox() -> impl IntoView {
    let live = expect_context::<Live>();
    let page = Loaded::versioned(move || {
        let told = live.told.newest().unsigned_abs();
        (ask_inbox(), [live.resync.get().into(), told, 0])
    });
    view! {
        <Title text="Inbox"/>
        {page.view("Reading …", move |page| content(live, page), failed)}
    }
    .into_any()
}

fn content(live: Live, page: InboxPage) -> AnyView {
    let InboxPage { since, inbox } = page;
    let newest = inbox.items.first().map(|item| item.seq).unwrap_or_default();
    let some = since.unread > 0;
    let unread = move || some && live.told.read_up_to() < newest;
    let lines = inbox.items.into_iter().map(|item| line(live, item)).collect_view();
    view! {
        <Frame since=since>
            <div class="heading">
                <h1>"Inbox"</h1>
                <form method="post" action="/notifications/read" hidden=move || !unread()>
                    <input type="hidden" name="up_to" value=newest.to_string()/>
                    <button>"Mark all as read"</button>
                </form>
            </div>
            {(newest == 0)
                .then(|| {
                    view! {
                        <div class="empty">
                            <p><strong>"Nothing yet."</strong></p>
                            <p>
                                "You are told here when a job ends or needs you, on every tab and device. "
                                <a href="/">"Launch something"</a>
                                " and get on with your day."
                            </p>
                        </div>
                    }
                })}
            <div class="lines inbox">{lines}</div>
            <Notices/>
        </Frame>
    }
    .into_any()
}

fn line(live: Live, item: Notification) -> AnyView {
    let (seq, read) = (item.seq, item.read);
    let unread = move || !read && live.told.read_up_to() < seq;
    let needs_person = item.kind == "needs_person";
    view! {
        <a class="line" class:unread=unread href=format!("/jobs/{}", item.job) data-kind=item.kind>
            <strong>
                {item.title}
                {needs_person.then(|| view! { <span class="tag">"Needs you"</span> })}
                <span class="tag" hidden=move || !unread()>"New"</span>
            </strong>
            <span>{item.text}</span>
            <small>{words::minute(item.at)}</small>
        </a>
    }
    .into_any()
}
