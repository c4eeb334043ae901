//! Forms about accounts: those that admins manage, and one's own. None of them
//! is for API tokens.

use super::{
    signed_in,
    told::{back, came_from},
};
use crate::{
    api,
    client::Client,
    cookie,
    problem::Problem,
    session::{self, Admin, InBrowser, SignedIn, Visitor},
    state::State,
    token,
};
use app::data::people::{NewLink, Theme};
use axum::{
    Form,
    extract::{Path, State as Extract},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use contract::{TokenId, UserId, api::Role};
use engine::store::{self, Purpose};
use serde::Deserialize;
use uuid::Uuid;

/// Keeps the theme of a browser.
pub const THEME: &str = "meanwhile_theme";
/// Carries a new one-time link to the page that shows it once.
const NEW_LINK: &str = "meanwhile_link";
/// Carries the secret of a new API token to the page that shows it once.
const NEW_TOKEN: &str = "meanwhile_token";
const PAGE: &str = "/people";
const ACCOUNT: &str = "/account";
/// Browsers keep no cookie for longer, s.
const LONGEST_S: i64 = 400 * 24 * 3600;

/// Leads to the list, with what went wrong.
fn listed(changed: Result<(), Problem>) -> Response {
    match changed {
        Ok(()) => Redirect::to(PAGE).into_response(),
        Err(problem) => back(PAGE, &problem),
    }
}

/// Leads to the list, which shows the link of `token` once.
fn shown(made: Result<HeaderValue, Problem>) -> Response {
    match made {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to(PAGE)).into_response(),
        Err(problem) => back(PAGE, &problem),
    }
}

fn carry(state: &State, token: &str) -> Result<HeaderValue, Problem> {
    cookie::set(state, NEW_LINK, token, PAGE, 60)
}

/// The link that was just made in this browser, and the cookie that takes it
/// away: it is shown once.
pub async fn new_link(state: &State, headers: &HeaderMap) -> Option<(NewLink, HeaderValue)> {
    let token = cookie::get(headers, NEW_LINK)?;
    let link = session::link(state, &token).await.ok()?;
    let origin = state.origins.of(headers)?;
    let invitation = link.purpose == Purpose::Invitation;
    let page = if invitation { "invite" } else { "reset" };
    let url = format!("{origin}/{page}/{token}");
    let shown = NewLink { url, email: link.email, invitation, expires_at: link.expires_at };
    Some((shown, cookie::set(state, NEW_LINK, "", PAGE, 0).ok()?))
}

#[derive(Deserialize)]
pub struct Invite {
    email: String,
    role: Role,
}

pub async fn invite(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Form(form): Form<Invite>,
) -> Response {
    let invited = async {
        let email = form.email.trim().to_lowercase();
        session::check_email(&email)?;
        let token = session::secret();
        let hash = session::hash(&token);
        state.engine.store().invite(who.actor(), &email, form.role, &hash).await?;
        carry(&state, &token)
    };
    shown(invited.await)
}

pub async fn revoke(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Path(invitation): Path<Uuid>,
) -> Response {
    listed(state.engine.store().revoke(who.actor(), invitation).await.map_err(Problem::from))
}

pub async fn reset(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Path(person): Path<UserId>,
) -> Response {
    let made = async {
        let token = session::secret();
        state.engine.store().add_reset(who.actor(), person, &session::hash(&token)).await?;
        carry(&state, &token)
    };
    shown(made.await)
}

#[derive(Deserialize)]
pub struct SetRole {
    role: Role,
}

pub async fn set_role(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Path(person): Path<UserId>,
    Form(form): Form<SetRole>,
) -> Response {
    let changed = state.engine.store().set_role(who.actor(), person, form.role).await;
    listed(changed.map_err(Problem::from))
}

pub async fn disable(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Path(person): Path<UserId>,
) -> Response {
    listed(state.engine.disable(who.actor(), person).await.map_err(Problem::from))
}

pub async fn enable(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Path(person): Path<UserId>,
) -> Response {
    listed(state.engine.store().enable(who.actor(), person).await.map_err(Problem::from))
}

#[derive(Deserialize)]
pub struct Redeem {
    password: String,
}

/// A one-time link's form: whoever was signed in in this browser is not any
/// more.
pub async fn redeem(
    Extract(state): Extract<State>,
    Client(address): Client,
    Visitor(before): Visitor,
    Path(token): Path<String>,
    uri: Uri,
    Form(form): Form<Redeem>,
) -> Response {
    let redeemed = async {
        let cookies = session::redeem(&state, address, &token, form.password).await?;
        if let Some(before) = before {
            api::end_session(&state, before).await?;
        }
        Ok(cookies)
    };
    signed_in(redeemed.await, uri.path())
}

#[derive(Deserialize)]
pub struct ChangePassword {
    old: String,
    new: String,
    /// The box is ticked.
    #[serde(default)]
    tokens: Option<String>,
}

pub async fn change_password(
    Extract(state): Extract<State>,
    InBrowser(who): InBrowser,
    Form(form): Form<ChangePassword>,
) -> Response {
    let revoke_tokens = form.tokens.is_some();
    match session::change_password(&state, &who, form.old, form.new, revoke_tokens).await {
        Ok(()) => Redirect::to("/account?saved=password").into_response(),
        Err(problem) => back(ACCOUNT, &problem),
    }
}

pub async fn sign_out_elsewhere(
    Extract(state): Extract<State>,
    InBrowser(who): InBrowser,
) -> Response {
    match state.engine.sign_out_elsewhere(who.actor(), &who.session).await {
        Ok(()) => Redirect::to("/account?saved=sessions").into_response(),
        Err(error) => back(ACCOUNT, &error.into()),
    }
}

#[derive(Deserialize)]
pub struct MakeToken {
    name: String,
    password: String,
}

/// Makes an API token and leads to the account, which shows its secret once.
pub async fn make_token(
    Extract(state): Extract<State>,
    InBrowser(who): InBrowser,
    Form(form): Form<MakeToken>,
) -> Response {
    let made = async {
        let made = token::make(&state, &who, &form.name, form.password).await?;
        cookie::set(&state, NEW_TOKEN, &made.secret, ACCOUNT, 60)
    };
    match made.await {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to(ACCOUNT)).into_response(),
        Err(problem) => back(ACCOUNT, &problem),
    }
}

/// The secret of the API token that was just made in this browser, and the
/// cookie that takes it away: it is shown once, to its own person.
pub async fn new_token(
    state: &State,
    headers: &HeaderMap,
    who: UserId,
) -> Option<(String, HeaderValue)> {
    let secret = cookie::get(headers, NEW_TOKEN)?;
    let owner = state.engine.store().token_owner(&session::hash(&secret)).await.ok()??;
    let gone = cookie::set(state, NEW_TOKEN, "", ACCOUNT, 0).ok()?;
    (owner.user == who).then_some((secret, gone))
}

pub async fn revoke_token(
    Extract(state): Extract<State>,
    InBrowser(who): InBrowser,
    Path(token): Path<TokenId>,
) -> Response {
    match state.engine.revoke_token(who.actor(), token).await {
        Ok(()) => Redirect::to("/account?saved=token").into_response(),
        Err(store::Error::NotFound) => Problem::not_found().into_response(),
        Err(error) => back(ACCOUNT, &error.into()),
    }
}

#[derive(Deserialize)]
pub struct ChooseTheme {
    theme: Theme,
}

pub async fn choose_theme(
    Extract(state): Extract<State>,
    _: SignedIn,
    headers: HeaderMap,
    Form(form): Form<ChooseTheme>,
) -> Result<Response, Problem> {
    let cookie = cookie::set(&state, THEME, form.theme.as_str(), "/", LONGEST_S)?;
    let page = came_from(&headers).unwrap_or_else(|| "/account".into());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&page)).into_response())
}
