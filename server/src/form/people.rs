//! Forms about accounts: those that admins manage, and one's own.

use super::{
    signed_in,
    told::{back, came_from},
};
use crate::{
    api,
    client::Client,
    cookie,
    problem::Problem,
    session::{self, Admin, SignedIn, Visitor},
    state::State,
};
use app::data::people::{NewLink, Theme};
use axum::{
    Form,
    extract::{Path, State as Extract},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use contract::{UserId, api::Role};
use engine::store::Purpose;
use serde::Deserialize;
use uuid::Uuid;

/// Keeps the theme of a browser.
pub const THEME: &str = "meanwhile_theme";
/// Carries a new one-time link to the page that shows it once.
const NEW_LINK: &str = "meanwhile_link";
const PAGE: &str = "/people";
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
    _: Admin,
    Form(form): Form<Invite>,
) -> Response {
    let invited = async {
        let email = form.email.trim().to_lowercase();
        session::check_email(&email)?;
        let token = session::secret();
        state.engine.store().invite(&email, form.role, &session::hash(&token)).await?;
        carry(&state, &token)
    };
    shown(invited.await)
}

pub async fn revoke(
    Extract(state): Extract<State>,
    _: Admin,
    Path(invitation): Path<Uuid>,
) -> Response {
    listed(state.engine.store().revoke(invitation).await.map_err(Problem::from))
}

pub async fn reset(
    Extract(state): Extract<State>,
    _: Admin,
    Path(person): Path<UserId>,
) -> Response {
    let made = async {
        let token = session::secret();
        state.engine.store().add_reset(person, &session::hash(&token)).await?;
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
    let by = who.identity.user;
    listed(state.engine.store().set_role(by, person, form.role).await.map_err(Problem::from))
}

pub async fn disable(
    Extract(state): Extract<State>,
    Admin(who): Admin,
    Path(person): Path<UserId>,
) -> Response {
    listed(state.engine.disable(who.identity.user, person).await.map_err(Problem::from))
}

pub async fn enable(
    Extract(state): Extract<State>,
    _: Admin,
    Path(person): Path<UserId>,
) -> Response {
    listed(state.engine.store().enable(person).await.map_err(Problem::from))
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
        let cookie = session::redeem(&state, address, &token, form.password).await?;
        if let Some(before) = before {
            api::end_session(&state, before).await?;
        }
        Ok(cookie)
    };
    signed_in(redeemed.await, uri.path())
}

#[derive(Deserialize)]
pub struct ChangePassword {
    old: String,
    new: String,
}

pub async fn change_password(
    Extract(state): Extract<State>,
    who: SignedIn,
    Form(form): Form<ChangePassword>,
) -> Response {
    match session::change_password(&state, &who, form.old, form.new).await {
        Ok(()) => Redirect::to("/account?saved=password").into_response(),
        Err(problem) => back("/account", &problem),
    }
}

pub async fn sign_out_elsewhere(Extract(state): Extract<State>, who: SignedIn) -> Response {
    match state.engine.sign_out_elsewhere(who.identity.user, &who.session).await {
        Ok(()) => Redirect::to("/account?saved=sessions").into_response(),
        Err(error) => back("/account", &error.into()),
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
