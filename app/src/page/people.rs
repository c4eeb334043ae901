//! Page of all accounts, for admins: invite, reset the password, change the role, disable.

mod accounts;

use crate::{
    page::{load_error::page_error, not_found::NotFound},
    page_context::PageContext,
    resource::resource_view,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use accounts::AccountList;
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

/// One-time link that was just created. It is shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLink {
    pub url: String,
    pub email: String,
    /// Whether the link creates an account; otherwise it resets a password.
    pub is_invitation: bool,
    /// Time in UTC milliseconds.
    pub expires_at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeoplePage {
    context: PageContext,
    accounts: AccountList,
}

/// Returns the accounts. The result is `None`, with status 404, if the user is not an admin.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_people() -> Result<Option<PeoplePage>, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error, set_status};
    let request = request_context()?;
    if request.identity.role != contract::api::Role::Admin {
        set_status(axum::http::StatusCode::NOT_FOUND);
        return Ok(None);
    }
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let limit = i64::try_from(accounts::MAX_ACCOUNTS).unwrap_or(i64::MAX);
    let accounts = AccountList {
        current_user: identity.user,
        users: store.accounts.users(limit).await.map_err(server_error)?,
        invitations: store.accounts.invitations().await.map_err(server_error)?,
        new_link: use_context::<crate::BrowserState>().and_then(|browser| browser.new_link),
    };
    Ok(Some(PeoplePage { context, accounts }))
}

#[component]
pub fn People() -> impl IntoView {
    // This is not reloaded automatically: a new link is shown once, and has to stay until the
    // user leaves the page.
    let page = Resource::new(|| (), |()| load_people());
    let show = |page: Option<_>| page.map_or_else(|| NotFound().into_any(), content);
    view! {
        <Title text="People"/>
        {resource_view(page, "Loading …", show, page_error)}
    }
    .into_any()
}

fn content(page: PeoplePage) -> AnyView {
    view! {
        <PageShell context=page.context>
            <h1>"People"</h1>
            <FlashAlert/>
            {accounts::account_list(page.accounts)}
        </PageShell>
    }
    .into_any()
}
