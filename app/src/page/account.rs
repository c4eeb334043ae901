//! Page of the user's own account: theme, password, sessions, API tokens.

mod settings;

use crate::{
    page::load_error::page_error,
    page_context::PageContext,
    resource::resource_view,
    shell::{FlashAlert, NotificationSettings, PageShell},
    title::Title,
};
use leptos::{prelude::*, server_fn::codec::Json};
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use settings::AccountSettings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountPage {
    context: PageContext,
    settings: AccountSettings,
}

/// Returns the settings, sessions and API tokens of the user's own account.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_account() -> Result<AccountPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let browser = expect_context::<crate::BrowserState>();
    let store = engine.store();
    let settings = AccountSettings {
        user: store.accounts.user(identity.user).await.map_err(server_error)?,
        sessions: store
            .accounts
            .sessions(identity.user, &browser.session_hash)
            .await
            .map_err(server_error)?,
        tokens: store.accounts.tokens(identity.user).await.map_err(server_error)?,
        new_token: browser.new_token,
        theme: browser.theme,
    };
    Ok(AccountPage { context, settings })
}

#[component]
pub fn Account() -> impl IntoView {
    let page = Resource::new(|| (), |()| load_account());
    let query = use_query_map();
    let show = move |page| content(page, saved_message(query));
    view! {
        <Title text="Account"/>
        {resource_view(page, "Loading …", show, page_error)}
    }
    .into_any()
}

/// Returns the message about the form that was just submitted.
fn saved_message(query: Memo<leptos_router::params::ParamsMap>) -> Option<&'static str> {
    match query.read_untracked().get("saved").as_deref() {
        Some("password") => Some("Password changed. Your other sessions are signed out."),
        Some("token") => Some("Token revoked."),
        Some("sessions") => Some("Signed out everywhere else."),
        _ => None,
    }
}

fn content(page: AccountPage, saved: Option<&'static str>) -> AnyView {
    view! {
        <PageShell context=page.context>
            <h1>"Account"</h1>
            {saved.map(|words| view! { <p class="success" role="status">{words}</p> })}
            <FlashAlert/>
            {settings::account_settings(page.settings)}
            <NotificationSettings/>
        </PageShell>
    }
    .into_any()
}
