//! Handlers of the forms by which admins manage accounts, and users their own.
//! None of them accepts API tokens.

use super::{
    flash::{redirect_with_problem, same_origin_referer},
    sign_in_response,
};
use crate::{
    client::ClientAddress,
    cookie,
    problem::Problem,
    session::{self, AdminUser, BrowserUser, CurrentUser, OptionalUser},
    state::AppState,
    token,
};
use app::{page::people::NewLink, theme::Theme};
use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::CookieJar;
use contract::{
    TokenId, UserId,
    api::{Role, TokenScope},
};
use engine::store::{self, LinkPurpose, TokenTerms};
use serde::Deserialize;
use uuid::Uuid;

/// Stores the theme that was chosen in this browser.
pub const THEME_COOKIE: &str = "meanwhile_theme";
/// Carries a new one-time link to the page that shows it once.
const NEW_LINK_COOKIE: &str = "meanwhile_link";
/// Carries the secret of a new API token to the page that shows it once.
const NEW_TOKEN_COOKIE: &str = "meanwhile_token";
const ACCOUNTS_PATH: &str = "/people";
const ACCOUNT_PATH: &str = "/account";
/// Lifetime of the theme cookie, in seconds: the longest that browsers allow.
const THEME_LIFETIME_S: i64 = 400 * 24 * 3600;

/// Redirects to the list of accounts, which shows the error if there is one.
fn redirect_to_accounts(result: Result<(), Problem>) -> Response {
    match result {
        Ok(()) => Redirect::to(ACCOUNTS_PATH).into_response(),
        Err(problem) => redirect_with_problem(ACCOUNTS_PATH, &problem),
    }
}

/// Redirects to the list of accounts with the cookie by which it shows the new
/// link once, or with the error.
fn redirect_with_link_cookie(cookie: Result<CookieJar, Problem>) -> Response {
    match cookie {
        Ok(cookie) => (cookie, Redirect::to(ACCOUNTS_PATH)).into_response(),
        Err(problem) => redirect_with_problem(ACCOUNTS_PATH, &problem),
    }
}

fn link_cookie(state: &AppState, token: String) -> CookieJar {
    cookie::set(state, NEW_LINK_COOKIE, token, ACCOUNTS_PATH, 60)
}

/// Returns the link that was just created in this browser, and the cookie that
/// removes it, so that it is shown only once.
pub async fn take_new_link(state: &AppState, headers: &HeaderMap) -> Option<(NewLink, CookieJar)> {
    let token = cookie::get(headers, NEW_LINK_COOKIE)?;
    let link = session::find_link(state, &token).await.ok()?;
    let origin = state.origins.requested_origin(headers)?;
    let is_invitation = link.purpose == LinkPurpose::Invitation;
    let page = if is_invitation { "invite" } else { "reset" };
    let url = format!("{origin}/{page}/{token}");
    let new_link = NewLink { url, email: link.email, is_invitation, expires_at: link.expires_at };
    Some((new_link, cookie::remove(state, NEW_LINK_COOKIE, ACCOUNTS_PATH)))
}

#[derive(Deserialize)]
pub struct InviteForm {
    email: String,
    role: Role,
}

pub async fn invite(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Form(form): Form<InviteForm>,
) -> Response {
    let cookie = async {
        let email = form.email.trim().to_lowercase();
        session::check_email(&email)?;
        let token = session::generate_secret();
        let hash = session::hash_secret(&token);
        state.engine.store().accounts.invite_user(admin.actor(), &email, form.role, &hash).await?;
        Ok(link_cookie(&state, token))
    };
    redirect_with_link_cookie(cookie.await)
}

pub async fn revoke_invitation(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path(invitation): Path<Uuid>,
) -> Response {
    redirect_to_accounts(
        state
            .engine
            .store()
            .accounts
            .revoke_invitation(admin.actor(), invitation)
            .await
            .map_err(Problem::from),
    )
}

pub async fn create_reset_link(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path(user_id): Path<UserId>,
) -> Response {
    let cookie = async {
        let token = session::generate_secret();
        state
            .engine
            .store()
            .accounts
            .add_password_reset(admin.actor(), user_id, &session::hash_secret(&token))
            .await?;
        Ok(link_cookie(&state, token))
    };
    redirect_with_link_cookie(cookie.await)
}

#[derive(Deserialize)]
pub struct SetRoleForm {
    role: Role,
}

pub async fn set_role(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path(user_id): Path<UserId>,
    Form(form): Form<SetRoleForm>,
) -> Response {
    let result =
        state.engine.store().accounts.set_user_role(admin.actor(), user_id, form.role).await;
    redirect_to_accounts(result.map_err(Problem::from))
}

pub async fn disable(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path(user_id): Path<UserId>,
) -> Response {
    redirect_to_accounts(
        state.engine.disable_user(admin.actor(), user_id).await.map_err(Problem::from),
    )
}

pub async fn enable(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path(user_id): Path<UserId>,
) -> Response {
    redirect_to_accounts(
        state
            .engine
            .store()
            .accounts
            .enable_user(admin.actor(), user_id)
            .await
            .map_err(Problem::from),
    )
}

#[derive(Deserialize)]
pub struct RedeemForm {
    password: String,
}

/// Redeems a one-time link. The user who was signed in in this browser
/// before is signed out.
pub async fn redeem(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    OptionalUser(previous_user): OptionalUser,
    Path(token): Path<String>,
    uri: Uri,
    Form(form): Form<RedeemForm>,
) -> Response {
    let result = async {
        let cookies = session::redeem(&state, address, &token, form.password).await?;
        if let Some(previous_user) = previous_user {
            session::sign_out(&state, &previous_user).await?;
        }
        Ok(cookies)
    };
    sign_in_response(result.await, uri.path())
}

#[derive(Deserialize)]
pub struct ChangePasswordForm {
    old: String,
    new: String,
    /// Present if the checkbox to revoke API tokens is ticked.
    #[serde(default)]
    tokens: Option<String>,
}

pub async fn change_password(
    State(state): State<AppState>,
    BrowserUser(user): BrowserUser,
    Form(form): Form<ChangePasswordForm>,
) -> Response {
    let revoke_tokens = form.tokens.is_some();
    match session::change_password(&state, &user, form.old, form.new, revoke_tokens).await {
        Ok(()) => Redirect::to("/account?saved=password").into_response(),
        Err(problem) => redirect_with_problem(ACCOUNT_PATH, &problem),
    }
}

pub async fn sign_out_elsewhere(
    State(state): State<AppState>,
    BrowserUser(user): BrowserUser,
) -> Response {
    match state.engine.end_other_sessions(user.actor(), &user.credential_hash).await {
        Ok(()) => Redirect::to("/account?saved=sessions").into_response(),
        Err(error) => redirect_with_problem(ACCOUNT_PATH, &error.into()),
    }
}

#[derive(Deserialize)]
pub struct CreateTokenForm {
    name: String,
    password: String,
    scope: Option<TokenScope>,
    /// Number of days, or `never`.
    expiry: Option<String>,
}

impl CreateTokenForm {
    /// Returns what the token permits, and for how long; what the form leaves open is the
    /// default.
    ///
    /// # Errors
    /// 422 for an expiry that is neither a number of days nor `never`.
    fn terms(&self) -> Result<TokenTerms, Problem> {
        let default = TokenTerms::default();
        let expires_in_days = match self.expiry.as_deref() {
            None => default.expires_in_days,
            Some("never") => None,
            Some(days) => Some(days.parse().map_err(|_| {
                let detail = "Choose when the token expires.";
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
            })?),
        };
        Ok(TokenTerms { scope: self.scope.unwrap_or(default.scope), expires_in_days })
    }
}

/// Creates an API token and redirects to the account page, which shows its
/// secret once.
pub async fn create_token(
    State(state): State<AppState>,
    BrowserUser(user): BrowserUser,
    Form(form): Form<CreateTokenForm>,
) -> Response {
    let cookie = async {
        let terms = form.terms()?;
        let created = token::create_token(&state, &user, &form.name, form.password, terms).await?;
        Ok(cookie::set(&state, NEW_TOKEN_COOKIE, created.secret, ACCOUNT_PATH, 60))
    };
    match cookie.await {
        Ok(cookie) => (cookie, Redirect::to(ACCOUNT_PATH)).into_response(),
        Err(problem) => redirect_with_problem(ACCOUNT_PATH, &problem),
    }
}

/// Returns the secret of the API token that was just created in this browser,
/// and the cookie that removes it: it is shown only once, and only to its owner.
pub async fn take_new_token(
    state: &AppState,
    headers: &HeaderMap,
    user_id: UserId,
) -> Option<(String, CookieJar)> {
    let secret = cookie::get(headers, NEW_TOKEN_COOKIE)?;
    let owner =
        state.engine.store().accounts.token_owner(&session::hash_secret(&secret)).await.ok()??;
    let removal_cookie = cookie::remove(state, NEW_TOKEN_COOKIE, ACCOUNT_PATH);
    (owner.user == user_id).then_some((secret, removal_cookie))
}

pub async fn revoke_token(
    State(state): State<AppState>,
    BrowserUser(user): BrowserUser,
    Path(token): Path<TokenId>,
) -> Response {
    match state.engine.revoke_token(user.actor(), token).await {
        Ok(()) => Redirect::to("/account?saved=token").into_response(),
        Err(store::Error::NotFound) => Problem::not_found().into_response(),
        Err(error) => redirect_with_problem(ACCOUNT_PATH, &error.into()),
    }
}

#[derive(Deserialize)]
pub struct ThemeForm {
    theme: Theme,
}

pub async fn choose_theme(
    State(state): State<AppState>,
    _: CurrentUser,
    headers: HeaderMap,
    Form(form): Form<ThemeForm>,
) -> Response {
    let cookie = cookie::set(&state, THEME_COOKIE, form.theme.as_str(), "/", THEME_LIFETIME_S);
    let page = same_origin_referer(&headers).unwrap_or_else(|| "/account".into());
    (cookie, Redirect::to(&page)).into_response()
}
