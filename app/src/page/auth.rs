//! Setup and sign-in pages. They are rendered on the server only, because nothing in them is live.

use crate::title::Title;
use leptos::prelude::*;
use leptos_meta::provide_meta_context;

/// The form that the page shows.
#[derive(Clone, Debug)]
pub enum AuthPage {
    /// Creates the first account, with the token from the server's log if one is
    /// required.
    SetUp {
        requires_token: bool,
    },
    SignIn,
}

/// Error of the last submission of the form.
#[derive(Clone, Debug, Default)]
pub struct FormError(pub Option<String>);

/// Renders the whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let problem = use_context::<FormError>().unwrap_or_default().0;
    let body = match expect_context::<AuthPage>() {
        AuthPage::SetUp { requires_token: token } => {
            let words = "Create the first account. You'll be the admin.";
            form("Welcome to Meanwhile", words, "/setup", "Create the account", token, problem)
        }
        AuthPage::SignIn => {
            let words = "Launch long-running work and see what happened to every item.";
            form("Sign in", words, "/sign-in", "Sign in", false, problem)
        }
    };
    crate::html_document((), body)
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
                "Setup token from the server's log"
                <input type="text" name="token" required autocomplete="off"/>
            </label>
        }
    });
    view! {
        <Title text=title/>
        <main class="auth-card">
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
                <button class="primary">{button}</button>
            </form>
        </main>
    }
    .into_any()
}
