//! The page of a one-time link, where a user chooses a password. It is rendered on the server only.

use crate::{server::CurrentIdentity, title::Title};
use leptos::prelude::*;
use leptos_meta::provide_meta_context;

/// Whether the link can be used, and for what.
#[derive(Clone, Debug)]
pub enum OneTimeLink {
    Valid {
        email: String,
        /// Whether the link creates an account; otherwise it resets a password.
        is_invitation: bool,
        /// URL that the form is posted to.
        action: String,
        /// Error of the last submission of the form.
        problem: Option<String>,
    },
    /// The link can't be used. The text says why, and what to do.
    Invalid(String),
}

/// Renders the whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let body = match expect_context::<OneTimeLink>() {
        OneTimeLink::Valid { email, is_invitation: invitation, action, problem } => {
            form(email, invitation, action, problem)
        }
        OneTimeLink::Invalid(words) => invalid_link(words),
    };
    crate::html_document((), body)
}

fn form(email: String, invitation: bool, action: String, problem: Option<String>) -> AnyView {
    let (title, button) = if invitation {
        ("Welcome to Meanwhile", "Create the account")
    } else {
        ("Choose a new password", "Change the password")
    };
    let words = if invitation {
        "You were invited. Choose a password to sign in."
    } else {
        "The old password stops working, and you are signed out everywhere."
    };
    let other = use_context::<CurrentIdentity>()
        .and_then(|viewer| viewer.0)
        .map(|who| who.email)
        .filter(|signed_in| *signed_in != email)
        .map(|who| {
            view! { <p class="warning">{format!("This browser is signed in as {who}. Continuing signs that account out.")}</p> }
        });
    let problem = problem
        .map(|words| view! { <p class="problem" role="alert" data-testid="problem">{words}</p> });
    view! {
        <Title text=title/>
        <main class="auth-card">
            <p class="brand">"Meanwhile"</p>
            <h1>{title}</h1>
            <p>{words}</p>
            {other}
            {problem}
            <form method="post" action=action>
                <label>
                    "Email"
                    <input type="email" value=email readonly autocomplete="username"/>
                </label>
                <label>
                    "Password, at least 10 characters"
                    <input
                        type="password"
                        name="password"
                        required
                        minlength="10"
                        autocomplete="new-password"
                    />
                </label>
                <button class="primary">{button}</button>
            </form>
        </main>
    }
    .into_any()
}

fn invalid_link(words: String) -> AnyView {
    view! {
        <Title text="This link can't be used"/>
        <main class="auth-card">
            <p class="brand">"Meanwhile"</p>
            <h1>"This link can't be used"</h1>
            <p role="alert" data-testid="problem">{words}</p>
            <p><a href="/sign-in">"Go to sign in"</a></p>
        </main>
    }
    .into_any()
}
