//! Set-up and sign-in. Rendered on the server alone: nothing of them is live.

use crate::title::Title;
use leptos::prelude::*;
use leptos_meta::provide_meta_context;

/// Who comes in, and how.
#[derive(Clone, Debug)]
pub enum Door {
    /// The first account; with the token of the server's log where one is
    /// asked for.
    SetUp {
        token: bool,
    },
    SignIn,
}

/// What was wrong with the last try.
#[derive(Clone, Debug, Default)]
pub struct Problem(pub Option<String>);

/// The whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let problem = use_context::<Problem>().unwrap_or_default().0;
    let body = match expect_context::<Door>() {
        Door::SetUp { token } => {
            let words = "Make the first account. It is an admin's.";
            form("Welcome to Meanwhile", words, "/setup", "Make the account", token, problem)
        }
        Door::SignIn => {
            let words = "Launch long-running work, and be told what happened to every item.";
            form("Sign in", words, "/sign-in", "Sign in", false, problem)
        }
    };
    crate::document((), body)
}

fn form(
    title: &'static str,
    words: &'static str,
    action: &'static str,
    button: &'static str,
    token: bool,
    problem: Option<String>,
) -> AnyView {
    let password = if action == "/setup" { "new-password" } else { "current-password" };
    let problem = problem
        .map(|words| view! { <p class="problem" role="alert" data-testid="problem">{words}</p> });
    let token = token.then(|| {
        view! {
            <label>
                "Set-up token, from the server's log"
                <input type="text" name="token" required autocomplete="off"/>
            </label>
        }
    });
    view! {
        <Title text=title/>
        <main class="door">
            <p class="brand">"Meanwhile"</p>
            <h1>{title}</h1>
            <p>{words}</p>
            {problem}
            <form method="post" action=action>
                <label>
                    "Email"
                    <input type="email" name="email" required autocomplete="username"/>
                </label>
                <label>
                    "Password"
                    <input
                        type="password"
                        name="password"
                        required
                        minlength="10"
                        autocomplete=password
                    />
                </label>
                {token}
                <button class="main">{button}</button>
            </form>
        </main>
    }
    .into_any()
}
