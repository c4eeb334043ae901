//! Page of the user's notifications.

use crate::{
    labels,
    live::LiveState,
    page::load_error::page_error,
    page_data::inbox::{InboxPage, inbox_query},
    resource::PageResource,
    shell::{NotificationSettings, PageShell},
    title::Title,
};
use contract::api::{Notification, NotificationKind};
use leptos::prelude::*;

#[component]
pub fn Inbox() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let page = PageResource::with_version(move || {
        let newest_seq = live.toasts.newest_seq().unsigned_abs();
        (inbox_query(), [live.resync_count.get().into(), newest_seq, 0])
    });
    view! {
        <Title text="Inbox"/>
        {page.view("Loading …", move |page| content(live, page), page_error)}
    }
    .into_any()
}

fn content(live: LiveState, page: InboxPage) -> AnyView {
    let InboxPage { context, inbox } = page;
    let newest = inbox.items.first().map(|item| item.seq).unwrap_or_default();
    let some = context.unread_count > 0;
    let unread = move || some && live.toasts.read_up_to() < newest;
    let lines = inbox.items.into_iter().map(|item| notification_line(live, item)).collect_view();
    view! {
        <PageShell context=context>
            <div class="page-heading">
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
                                "You are notified here when a job ends or needs you, on every tab and device. "
                                <a href="/">"Launch something"</a>
                                " and get on with your day."
                            </p>
                        </div>
                    }
                })}
            <div class="list inbox">{lines}</div>
            <NotificationSettings/>
        </PageShell>
    }
    .into_any()
}

fn notification_line(live: LiveState, item: Notification) -> AnyView {
    let (seq, read) = (item.seq, item.read);
    let unread = move || !read && live.toasts.read_up_to() < seq;
    let needs_review = item.kind == NotificationKind::NeedsReview;
    view! {
        <a class="list-item" class:unread=unread href=format!("/jobs/{}", item.job) data-kind=item.kind.as_str()>
            <strong>
                {item.title}
                {needs_review.then(|| view! { <span class="tag">"Needs you"</span> })}
                <span class="tag" hidden=move || !unread()>"New"</span>
            </strong>
            <span>{item.text}</span>
            <small>{labels::date_and_minute(item.at)}</small>
        </a>
    }
    .into_any()
}
