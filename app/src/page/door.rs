//! Set-up and sign-in.

use crate::{Assets, frame::ProblemLine};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn SetUp() -> impl IntoView {
    // The browser has no `Assets`: it is told what the server saw.
    let token = SharedValue::new(|| use_context::<Assets>().is_some_and(|it| it.set_up_token));
    view! {
        <Door
            title="Welcome to Meanwhile"
            words="Make the first account. It is an admin's."
            action="/setup"
            button="Make the account"
            password="new-password"
            token=token.into_inner()
        />
    }
}

#[component]
pub fn SignIn() -> impl IntoView {
    view! {
        <Door
            title="Sign in"
            words="Launch long-running work, and be told what happened to every item."
            action="/sign-in"
            button="Sign in"
            password="current-password"
        />
    }
}

#[component]
fn Door(
    title: &'static str,
    words: &'static str,
    action: &'static str,
    button: &'static str,
    password: &'static str,
    #[prop(optional)] token: bool,
) -> impl IntoView {
    view! {
        <Title text=title/>
        <main class="door">
            <p class="brand">"Meanwhile"</p>
            <h1>{title}</h1>
            <p>{words}</p>
            <ProblemLine/>
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
                {token
                    .then(|| {
                        view! {
                            <label>
                                "Set-up token, from the server's log"
                                <input type="text" name="token" required autocomplete="off"/>
                            </label>
                        }
                    })}
                <button class="main">{button}</button>
            </form>
        </main>
    }
    .into_any()
}
