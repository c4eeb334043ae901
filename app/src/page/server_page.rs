//! Pages without scripts of their own. The server renders their content, and the browser shows
//! that HTML as it is, so that such a page adds nothing to the bundle.

mod merge;

use crate::{
    page::{load_error::page_error, not_found::NotFound},
    page_context::PageContext,
    resource::resource_view,
    shell::{FlashAlert, NotificationSettings, PageShell},
    title::Title,
};
use leptos::{html, prelude::*, server_fn::codec::Json, task::spawn_local};
use leptos_router::hooks::{use_params_map, use_query_map};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wasm_bindgen::JsValue;
use web_sys::Element;

/// Interval at which a page with live content is brought up to date while it is visible.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3);

/// Page whose content the server renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerPage {
    Account,
    Channels,
    Compare,
    /// One event of [`Self::Flows`].
    Event,
    Flows,
    Operations,
    People,
}

impl ServerPage {
    pub const ALL: [Self; 7] = [
        Self::Account,
        Self::Channels,
        Self::Compare,
        Self::Event,
        Self::Flows,
        Self::Operations,
        Self::People,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Account => "Account",
            Self::Channels => "Channels",
            Self::Compare => "Three ways",
            Self::Event => "Event",
            Self::Flows => "Flows",
            Self::Operations => "Operations",
            Self::People => "People",
        }
    }

    /// Whether the content changes by itself. People is not among these: a new link is shown
    /// once, and has to stay until the user leaves the page.
    const fn is_live(self) -> bool {
        matches!(
            self,
            Self::Channels | Self::Compare | Self::Event | Self::Flows | Self::Operations
        )
    }
}

/// Content of a page, and the facts that every page is rendered with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendered {
    context: PageContext,
    html: String,
}

/// Renders the content of `page`. `argument` is the part of the URL that it depends on, see
/// [`server_page`]. The result is `None`, with status 404, if there is no such page for
/// this user.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_server_page(
    page: ServerPage,
    argument: Option<String>,
) -> Result<Option<Rendered>, ServerFnError> {
    use crate::{
        page::{account, channels, compare, flows, operations, people},
        server::{request_context, set_status},
    };
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let argument = argument.as_deref();
    let content = match page {
        ServerPage::Account => Some(account::content(&request, argument).await?),
        ServerPage::Channels => Some(channels::content(&request, argument).await?),
        ServerPage::Compare => compare::content(&request),
        ServerPage::Event => flows::event_content(&request, argument.unwrap_or_default()).await?,
        ServerPage::Flows => Some(flows::content(&request).await?),
        ServerPage::Operations => operations::content(&request, argument).await?,
        ServerPage::People => people::content(&request).await?,
    };
    if content.is_none() {
        set_status(axum::http::StatusCode::NOT_FOUND);
    }
    Ok(content.map(|view| Rendered { context, html: view.to_html() }))
}

/// Shows HTML that the server rendered from views.
pub fn server_html(html: String) -> AnyView {
    view! { <div inner_html=html></div> }.into_any()
}

/// Shows `page`.
pub fn server_page(page: ServerPage) -> AnyView {
    let (query, path) = (use_query_map(), use_params_map());
    let argument = Memo::new(move |_| match page {
        ServerPage::Account => query.read().get("saved"),
        ServerPage::Channels => query.read().get("form"),
        ServerPage::Event => path.read().get("event"),
        // What the part is about is not in the path, so that one route is enough.
        ServerPage::Operations => {
            let part = path.read().get("part")?;
            Some(part + "/" + &query.read().get("id").unwrap_or_default())
        }
        _ => None,
    });
    let rendered =
        Resource::new(move || argument.get(), move |argument| load_server_page(page, argument));
    let shown = NodeRef::new();
    if page.is_live() {
        refresh_regularly(page, argument, shown);
    }
    let show = move |rendered: Option<Rendered>| match rendered {
        Some(rendered) => content(page, rendered, shown),
        None => NotFound().into_any(),
    };
    view! {
        <Title text=page.title()/>
        {resource_view(rendered, "Loading …", show, page_error)}
    }
    .into_any()
}

fn content(page: ServerPage, rendered: Rendered, shown: NodeRef<html::Div>) -> AnyView {
    let Rendered { context, html } = rendered;
    view! {
        <PageShell context=context>
            <h1>{page.title()}</h1>
            <FlashAlert/>
            <div inner_html=html node_ref=shown></div>
            {(page == ServerPage::Account).then(|| view! { <NotificationSettings/> })}
        </PageShell>
    }
    .into_any()
}

fn refresh_regularly(page: ServerPage, argument: Memo<Option<String>>, shown: NodeRef<html::Div>) {
    // Numbers of the last request, and of the one whose answer is shown.
    let (asked, answered) = (StoredValue::new(0_u32), StoredValue::new(0_u32));
    Effect::new(move |_| {
        let refresh = move || {
            let current = argument.get_untracked();
            // A refresh would take back what was typed into a form, and what is wrong with it.
            let is_form = current.as_ref().is_some_and(|part| part.starts_with("edit/"));
            if document().hidden() || is_form {
                return;
            }
            asked.update_value(|number| *number += 1);
            let number = asked.get_value();
            spawn_local(async move {
                // Without an answer, what is shown stays; the top bar says that it may be old.
                let Ok(Some(newer)) = load_server_page(page, current.clone()).await else { return };
                // The user may have gone to another page, and a later request may have been
                // answered sooner.
                let is_wanted = argument.try_get_untracked() == Some(current)
                    && answered.try_get_value().is_some_and(|newest| newest < number);
                if let Some(shown) = shown.try_get_untracked().flatten()
                    && is_wanted
                {
                    answered.set_value(number);
                    if show_newer(&shown, &newer.html).is_err() {
                        shown.set_inner_html(&newer.html);
                    }
                }
            });
        };
        let timer = set_interval_with_handle(refresh, REFRESH_INTERVAL);
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
}

fn show_newer(shown: &Element, html: &str) -> Result<(), JsValue> {
    let newer = document().create_element("div")?;
    newer.set_inner_html(html);
    merge::merge_children(shown, &newer)
}
