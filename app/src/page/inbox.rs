//! Page of the user's notifications.

use crate::{
    labels,
    live::LiveState,
    page::load_error::page_error,
    page_context::PageContext,
    resource::resource_view,
    shell::{NotificationSettings, PageShell},
    title::Title,
};
use contract::api::{self, Notification, NotificationKind};
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxPage {
    context: PageContext,
    inbox: api::Inbox,
}

/// Returns the user's latest notifications, at most 100.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_inbox() -> Result<InboxPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let inbox = engine.store().journal.inbox(identity.user, 100).await.map_err(server_error)?;
    Ok(InboxPage { context, inbox })
}

#[component]
pub fn Inbox() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let page = Resource::new(
        move || (live.resync_count.get(), live.toasts.newest_seq()),
        |_| load_inbox(),
    );
    view! {
        <Title text="Inbox"/>
        {resource_view(page, "Loading …", move |page| content(live, page), page_error)}
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
