//! List of the accounts and the actions on them.

use super::NewLink;
use crate::labels;
use contract::{
    UserId,
    api::{Invitation, Role, User},
};
use leptos::prelude::*;

/// Maximum number of accounts on the page.
pub const MAX_ACCOUNTS: usize = 500;

/// Data of the list of accounts.
#[derive(Clone, Debug)]
pub struct AccountList {
    /// The user who views the page.
    pub current_user: UserId,
    /// The first [`MAX_ACCOUNTS`] accounts, by email address.
    pub users: Vec<User>,
    pub invitations: Vec<Invitation>,
    pub new_link: Option<NewLink>,
}

pub fn account_list(list: AccountList) -> AnyView {
    let AccountList { current_user: own, users, invitations, new_link } = list;
    let more = (users.len() >= MAX_ACCOUNTS).then(
        || view! { <p><small>{format!("The first {MAX_ACCOUNTS} accounts by address.")}</small></p> },
    );
    let accounts = users.into_iter().map(|user| account_row(user.id == own, user)).collect_view();
    view! {
        {new_link.map(new_link_panel)}
        {invite_form()}
        {(!invitations.is_empty()).then(|| pending_invitations(invitations))}
        <h2 id="accounts">"Accounts"</h2>
        <ul class="account-list" aria-labelledby="accounts">{accounts}</ul>
        {more}
    }
    .into_any()
}

fn new_link_panel(link: NewLink) -> AnyView {
    let NewLink { url, email, is_invitation: invitation, expires_at } = link;
    let title = if invitation { "Invitation for " } else { "New password for " };
    view! {
        <section class="panel one-time-secret" aria-labelledby="new-link">
            <h2 id="new-link">{title} {email}</h2>
            <p>
                "Copy this link now and send it yourself: it is shown only once. It works once, until "
                {labels::date_and_minute(expires_at)} "."
            </p>
            <input readonly value=url aria-label="One-time link" data-testid="one-time-link"/>
            <p><small>"Click into it, then Ctrl+A and Ctrl+C (⌘ on a Mac)."</small></p>
        </section>
    }
    .into_any()
}

fn invite_form() -> AnyView {
    view! {
        <section class="panel" aria-labelledby="invite">
            <h2 id="invite">"Invite someone"</h2>
            <form class="form-row" method="post" action="/people">
                <label>
                    "Email"
                    <input type="email" name="email" required autocomplete="off"/>
                </label>
                <label>
                    "Role"
                    <select name="role">
                        <option value="user">"User"</option>
                        <option value="admin">"Admin: manages people"</option>
                    </select>
                </label>
                <button class="primary">"Create the link"</button>
            </form>
            <small>"You get a link to send to them. It works once, within 7 days."</small>
        </section>
    }
    .into_any()
}

fn pending_invitations(invitations: Vec<Invitation>) -> AnyView {
    let lines = invitations
        .into_iter()
        .map(|invitation| {
            let email = invitation.email;
            let action = format!("/invitations/{}/revoke", invitation.id);
            view! {
                <li data-testid="invitation">
                    <strong>{email.clone()}</strong>
                    <span>{labels::role_name(invitation.role)}</span>
                    <small>"link works until " {labels::date_and_minute(invitation.expires_at)}</small>
                    <form method="post" action=action>
                        <button class="subtle" aria-label=format!("Revoke the invitation of {email}")>
                            "Revoke"
                        </button>
                    </form>
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 id="invitations">"Invited"</h2>
        <ul class="account-list" aria-labelledby="invitations">{lines}</ul>
    }
    .into_any()
}

fn account_row(own: bool, user: User) -> AnyView {
    let seen = match user.seen_at {
        Some(at) => format!("last seen {}", labels::date_and_minute(at)),
        None => "never seen".into(),
    };
    let since = format!("since {}", labels::date(user.created_at));
    let mark = if own {
        Some("you")
    } else if user.disabled {
        Some("disabled")
    } else {
        None
    };
    view! {
        <li data-testid="account" class:is-disabled=user.disabled>
            <strong>
                {user.email.clone()}
                {mark.map(|mark| view! { " " <span class="tag">{mark}</span> })}
            </strong>
            <span>{labels::role_name(user.role)}</span>
            <small>{since}</small>
            <small>{seen}</small>
            {(!own).then(|| account_actions(&user))}
        </li>
    }
    .into_any()
}

/// Actions on an account. Each has to be opened before it can be confirmed.
fn account_actions(user: &User) -> AnyView {
    let act = |name: &str, what: &str, role: Option<Role>, words: String| {
        let email = &user.email;
        let action = format!("/people/{}/{what}", user.id);
        view! {
            <details name=format!("of-{}", user.id)>
                <summary aria-label=format!("{name}: {email}")>{name.to_owned()}</summary>
                <form method="post" action=action>
                    <p>{words}</p>
                    {role.map(|role| view! { <input type="hidden" name="role" value=role.as_str()/> })}
                    <button>{name.to_owned()}</button>
                </form>
            </details>
        }
        .into_any()
    };
    let email = &user.email;
    if user.disabled {
        let words = format!("{email} can sign in again with the password they had.");
        return view! { <div class="account-actions">{act("Enable", "enable", None, words)}</div> }
            .into_any();
    }
    let (name, role, words) = match user.role {
        Role::User => (
            "Make admin",
            Role::Admin,
            format!(
                "{email} can then invite people, reset passwords and disable accounts, including yours."
            ),
        ),
        Role::Admin => (
            "Make user",
            Role::User,
            format!("{email} keeps their jobs, but can no longer manage people."),
        ),
    };
    let reset = format!(
        "You get a link to send to {email}. Until it is used, the old password works; then they are signed out everywhere, and their API tokens stop working."
    );
    let disable = format!(
        "{email} is signed out everywhere at once and can't sign in, and their API tokens stop working. Their jobs continue, and nothing is deleted."
    );
    view! {
        <div class="account-actions">
            {act(name, "role", Some(role), words)}
            {act("Reset password", "reset", None, reset)}
            {act("Disable", "disable", None, disable)}
        </div>
    }
    .into_any()
}
