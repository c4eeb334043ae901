//! The pages: components, routes, server functions.
//!
//! | module | what |
//! | --- | --- |
//! | [`data`] | what pages read, and the server function that answers |
//! | `early` | what was entered before the scripts were there |
//! | [`live`] | the one source of truth for what is shown, fed by `/ws` |
//! | [`fragment`] | parts of pages that the server alone makes |
//! | [`frame`] | what is around every page |
//! | [`load`] | how pages get what they read |
//! | [`page`] | the pages |
//! | [`sign`] | the signs of states |
//! | [`title`] | the document's title |
//! | [`words`] | states in words |
#![recursion_limit = "512"]

#[cfg(not(erase_components))]
compile_error!(
    "Build with `--cfg erase_components`: .cargo/config.toml sets it, RUSTFLAGS takes its place."
);

pub mod data;
#[cfg(feature = "hydrate")]
pub mod early;
pub mod fragment;
pub mod frame;
pub mod live;
pub mod load;
pub mod page;
pub mod sign;
pub mod title;
pub mod words;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    components::{Route, Router, Routes},
    path,
};
use title::UnreadInTitle;

/// What the page's head refers to, and what kind of visit it is.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// Paths of the bundle; empty where there is none.
    pub js: String,
    pub wasm: String,
    pub css: String,
    /// The outside is a stand-in.
    pub sandbox: bool,
    /// No account exists yet.
    pub first_visit: bool,
    /// The first account is made with the token of the server's log.
    pub set_up_token: bool,
}

/// Who looks at the page.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug)]
pub struct Viewer(pub Option<engine::store::Identity>);

/// What a request says of its browser.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Hash of the session's token; empty where nobody is signed in.
    pub session: String,
    pub theme: data::people::Theme,
    /// A one-time link that was made by the request before.
    pub new_link: Option<data::people::NewLink>,
    /// The secret of an API token that was made by the request before.
    pub new_token: Option<String>,
}

/// Two bars and a dot: work that goes on.
#[cfg(feature = "ssr")]
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
     %3Crect width='16' height='16' rx='4' fill='%232f5bd0'/%3E\
     %3Cpath d='M4 6h8M4 10h4' stroke='white' stroke-width='1.6' stroke-linecap='round'/%3E\
     %3Ccircle cx='11.5' cy='10' r='1.1' fill='white'/%3E%3C/svg%3E";

/// The document around [`App`].
#[cfg(feature = "ssr")]
pub fn shell() -> impl IntoView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let nonce = leptos::nonce::use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
    let start = (!assets.js.is_empty()).then(|| {
        let code = start_script(&assets);
        // The nonce comes first: an attribute that injected markup leaves open
        // ends at the first quote, and would have the nonce in its value. No
        // other element has one.
        view! { <script nonce=nonce type="module" inner_html=code></script> }
    });
    // Behind the app, so that hydration never gets there.
    document(start, view! { <App/> {frame::help::help()} }.into_any())
}

/// Starts the bundle. Sinks that run scripts take the worker's alone; HTML of
/// fragments is the server's own, and its scripts and handlers don't run by the
/// content security policy.
#[cfg(feature = "ssr")]
fn start_script(assets: &Assets) -> String {
    let (js, wasm) = (&assets.js, &assets.wasm);
    format!(
        "import init from '{js}';\
         globalThis.trustedTypes?.createPolicy('default',{{\
         createHTML:html=>html,createScriptURL:url=>url==='/sw.js'?url:null}});\
         init({{module_or_path:'{wasm}'}}).then(wasm => wasm.hydrate());"
    )
}

/// A page with its head. The theme is the cookie's, so that the first paint is
/// right.
#[cfg(feature = "ssr")]
pub(crate) fn document(start: impl IntoView, body: AnyView) -> impl IntoView {
    use data::people::Theme;
    let assets = use_context::<Assets>().unwrap_or_default();
    let theme = use_context::<Browser>().map(|browser| browser.theme).unwrap_or_default();
    let (named, schemes) = match theme {
        Theme::System => (None, "light dark"),
        Theme::Light | Theme::Dark => (Some(theme.as_str()), theme.as_str()),
    };
    let style = (!assets.css.is_empty())
        .then(|| view! { <link rel="stylesheet" href=assets.css.clone()/> });
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=named>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content=schemes/>
                <link rel="icon" type="image/svg+xml" href=ICON/>
                {style}
                <leptos_meta::MetaTags/>
                {start}
            </head>
            <body>{body}</body>
        </html>
    }
}

/// One type for the views of all routes; each of its own makes 4 kB of wasm.
type Page = fn() -> AnyView;

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let live = live::provide();
    frame::listen(live);
    let missing: Page = || page::missing::Missing().into_any();
    let launch: Page = || page::launch::Launch().into_any();
    let machines: Page = || page::machines::Machines().into_any();
    let jobs: Page = || page::jobs::Jobs().into_any();
    let job: Page = || page::job::Job().into_any();
    let inbox: Page = || page::inbox::Inbox().into_any();
    let search: Page = || page::search::Search().into_any();
    let people: Page = || page::people::People().into_any();
    let account: Page = || page::account::Account().into_any();
    view! {
        <UnreadInTitle live=live/>
        <Router>
            <Routes fallback=missing>
                <Route path=path!("/") view=launch/>
                <Route path=path!("/launch/check") view=launch/>
                <Route path=path!("/launch/upload") view=launch/>
                <Route path=path!("/machines") view=machines/>
                <Route path=path!("/jobs") view=jobs/>
                <Route path=path!("/jobs/:id") view=job/>
                <Route path=path!("/inbox") view=inbox/>
                <Route path=path!("/search") view=search/>
                <Route path=path!("/people") view=people/>
                <Route path=path!("/account") view=account/>
            </Routes>
        </Router>
    }
}
