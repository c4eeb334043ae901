//! The accounts, and what can be done to them.

use crate::{
    data::people::{MOST, NewLink},
    fragment::Fragment,
    words,
};
use contract::{
    UserId,
    api::{Invitation, Role, User},
};
use leptos::prelude::*;

pub struct People {
    /// Whoever looks.
    pub own: UserId,
    /// The first [`MOST`], by address.
    pub users: Vec<User>,
    pub invitations: Vec<Invitation>,
    pub link: Option<NewLink>,
}

pub fn fragment(people: People) -> Fragment {
    let People { own, users, invitations, link } = people;
    let more = (users.len() >= MOST).then(
        || view! { <p><small>{format!("The first {MOST} accounts by address.")}</small></p> },
    );
    let accounts = users.into_iter().map(|user| account(user.id == own, user)).collect_view();
    Fragment::of(view! {
        {link.map(new_link)}
        {invite()}
        {(!invitations.is_empty()).then(|| pending(invitations))}
        <h2 id="accounts">"Accounts"</h2>
        <ul class="people" aria-labelledby="accounts">{accounts}</ul>
        {more}
    })
}

fn new_link(link: NewLink) -> AnyView {
    let NewLink { url, email, invitation, expires_at } = link;
    let title = if invitation { "Invitation for " } else { "New password for " };
    view! {
        <section class="panel new-link" aria-labelledby="new-link">
            <h2 id="new-link">{title} {email}</h2>
            <p>
                "Copy this link now and send it yourself: it is shown only this once. It works once, until "
                {words::minute(expires_at)} "."
            </p>
            <input readonly value=url aria-label="One-time link" data-testid="new-link"/>
            <p><small>"Click into it, then Ctrl+A and Ctrl+C (⌘ on a Mac)."</small></p>
        </section>
    }
    .into_any()
}

fn invite() -> AnyView {
    view! {
        <section class="panel" aria-labelledby="invite">
            <h2 id="invite">"Invite someone"</h2>
            <form class="row" method="post" action="/people">
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
                <button class="main">"Make the link"</button>
            </form>
            <small>"You get a link to send them. It works once, within 7 days."</small>
        </section>
    }
    .into_any()
}

fn pending(invitations: Vec<Invitation>) -> AnyView {
    let lines = invitations
        .into_iter()
        .map(|invitation| {
            let email = invitation.email;
            let action = format!("/invitations/{}/revoke", invitation.id);
            view! {
                <li data-testid="invitation">
                    <strong>{email.clone()}</strong>
                    <span>{words::role(invitation.role)}</span>
                    <small>"link works until " {words::minute(invitation.expires_at)}</small>
                    <form method="post" action=action>
                        <button class="quiet" aria-label=format!("Revoke the invitation of {email}")>
                            "Revoke"
                        </button>
                    </form>
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 id="invited">"Invited"</h2>
        <ul class="people" aria-labelledby="invited">{lines}</ul>
    }
    .into_any()
}

fn account(own: bool, user: User) -> AnyView {
    let seen = match user.seen_at {
        Some(at) => format!("last seen {}", words::minute(at)),
        None => "never seen".into(),
    };
    let since = format!("since {}", words::day(user.created_at));
    let mark = if own {
        Some("you")
    } else if user.disabled {
        Some("disabled")
    } else {
        None
    };
    view! {
        <li data-testid="person" class:off=user.disabled>
            <strong>
                {user.email.clone()}
                {mark.map(|mark| view! { " " <span class="tag">{mark}</span> })}
            </strong>
            <span>{words::role(user.role)}</span>
            <small>{since}</small>
            <small>{seen}</small>
            {(!own).then(|| actions(&user))}
        </li>
    }
    .into_any()
}

/// What can be done to an account; each is confirmed by opening it.
fn actions(user: &User) -> AnyView {
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
        return view! { <div class="acts">{act("Enable", "enable", None, words)}</div> }.into_any();
    }
    let (name, role, words) = match user.role {
        Role::User => (
            "Make admin",
            Role::Admin,
            format!("{email} can then invite, reset and disable people, you too."),
        ),
        Role::Admin => (
            "Make user",
            Role::User,
            format!("{email} keeps their jobs and can't manage people any more."),
        ),
    };
    let reset = format!(
        "You get a link to send to {email}. Until it is used, the old password works; then they are signed out everywhere, and their API tokens end."
    );
    let disable = format!(
        "{email} is signed out everywhere at once and can't sign in, and their API tokens end. Their jobs go on, and nothing is deleted."
    );
    view! {
        <div class="acts">
            {act(name, "role", Some(role), words)}
            {act("Reset password", "reset", None, reset)}
            {act("Disable", "disable", None, disable)}
        </div>
    }
    .into_any()
}
