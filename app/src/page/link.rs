//! A one-time link: choose a password. Rendered on the server alone.

use crate::{Viewer, title::Title};
use leptos::prelude::*;
use leptos_meta::provide_meta_context;

/// What the link is good for.
#[derive(Clone, Debug)]
pub enum Offer {
    Good {
        email: String,
        /// To a new account; else to a new password.
        invitation: bool,
        /// Where the form goes.
        action: String,
        /// What was wrong with the last try.
        problem: Option<String>,
    },
    /// It can't be used: why, and what to do.
    Dead(String),
}

/// The whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let body = match expect_context::<Offer>() {
        Offer::Good { email, invitation, action, problem } => {
            form(email, invitation, action, problem)
        }
        Offer::Dead(words) => dead(words),
    };
    crate::document((), body)
}

fn form(email: String, invitation: bool, action: String, problem: Option<String>) -> AnyView {
    let (title, button) = if invitation {
        ("Welcome to Meanwhile", "Make the account")
    } else {
        ("Choose a new password", "Change the password")
    };
    let words = if invitation {
        "You were invited. Choose a password, and you are signed in."
    } else {
        "The old password stops working, and you are signed out wherever you were signed in."
    };
    let other = use_context::<Viewer>()
        .and_then(|viewer| viewer.0)
        .map(|who| who.email)
        .filter(|signed_in| *signed_in != email)
        .map(|who| {
            view! { <p class="note">{format!("This browser is signed in as {who}, and won't be after this.")}</p> }
        });
    let problem = problem
        .map(|words| view! { <p class="problem" role="alert" data-testid="problem">{words}</p> });
    view! {
        <Title text=title/>
        <main class="door">
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
                <button class="main">{button}</button>
            </form>
        </main>
    }
    .into_any()
}

fn dead(words: String) -> AnyView {
    view! {
        <Title text="This link can't be used"/>
        <main class="door">
            <p class="brand">"Meanwhile"</p>
            <h1>"This link can't be used"</h1>
            <p role="alert" data-testid="problem">{words}</p>
            <p><a href="/sign-in">"Go to sign in"</a></p>
        </main>
    }
    .into_any()
}
