//! The pages: components, routes, server functions.
//!
//! | module | contents |
//! | --- | --- |
//! | [`page`] | the pages, each with its server functions |
//! | [`page_context`] | facts that every page is rendered with |
//! | [`resource`] | how pages show data that they load |
//! | [`server`] | who may call a server function |
//! | [`shell`] | navigation, menus and notifications around every page |
//! | [`live`] | live state of the page, updated by `/ws` |
//! | [`labels`] | texts for states, facts, numbers and times |
//! | [`icons`] | icons of task states |
//! | [`theme`] | colour theme |
//! | [`title`] | the document's title |
//! | `replay_input` | input that was made before hydration |
#![recursion_limit = "512"]

#[cfg(not(erase_components))]
compile_error!(
    "Build with `--cfg erase_components`: .cargo/config.toml sets it, RUSTFLAGS takes its place."
);

pub mod icons;
pub mod labels;
pub mod live;
pub mod page;
pub mod page_context;
#[cfg(feature = "hydrate")]
pub mod replay_input;
pub mod resource;
#[cfg(feature = "ssr")]
pub mod server;
pub mod shell;
pub mod theme;
pub mod title;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    components::{Route, Router, Routes},
    path,
};
use page::server_page::{ServerPage, server_page};
use title::UnreadInTitle;

/// Files that the page's head refers to, and facts about the server that pages depend on.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// Path of the JavaScript file; empty if there is no bundle. The same applies to `wasm` and `css`.
    pub js: String,
    pub wasm: String,
    pub css: String,
    /// Whether no account exists yet.
    pub needs_setup: bool,
    /// Whether creating the first account takes the token from the server's log.
    pub setup_token_required: bool,
}

/// State of the browser that a request carries.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default)]
pub struct BrowserState {
    /// Hash of the session's token; empty if nobody is signed in.
    pub session_hash: String,
    pub theme: theme::Theme,
    /// One-time link that the previous request created.
    pub new_link: Option<page::people::NewLink>,
    /// Secret of an API token that the previous request created.
    pub new_token: Option<String>,
}

/// Two bars and a dot, for work in progress.
#[cfg(feature = "ssr")]
const FAVICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
     %3Crect width='16' height='16' rx='4' fill='%232f5bd0'/%3E\
     %3Cpath d='M4 6h8M4 10h4' stroke='white' stroke-width='1.6' stroke-linecap='round'/%3E\
     %3Ccircle cx='11.5' cy='10' r='1.1' fill='white'/%3E%3C/svg%3E";

/// Renders the HTML document around [`App`].
#[cfg(feature = "ssr")]
pub fn app_document() -> impl IntoView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let nonce = leptos::nonce::use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
    let start = (!assets.js.is_empty()).then(|| {
        let code = hydration_script(&assets);
        // The nonce comes first: an attribute that injected markup leaves open
        // ends at the first quote, and would have the nonce in its value. No
        // other element has one.
        view! { <script nonce=nonce type="module" inner_html=code></script> }
    });
    // The dialog follows the app, so that hydration does not reach it.
    html_document(start, view! { <App/> {shell::help::help_dialog()} }.into_any())
}

/// Returns the script that starts the bundle. Its Trusted Types policy allows the service
/// worker's script URL only; the HTML of fragments comes from the server, and the content
/// security policy keeps scripts and handlers in it from running.
#[cfg(feature = "ssr")]
fn hydration_script(assets: &Assets) -> String {
    let (js, wasm) = (&assets.js, &assets.wasm);
    format!(
        "import init from '{js}';\
         globalThis.trustedTypes?.createPolicy('default',{{\
         createHTML:html=>html,createScriptURL:url=>url==='/sw.js'?url:null}});\
         init({{module_or_path:'{wasm}'}}).then(wasm => wasm.hydrate());"
    )
}

/// Renders a page with its head. The theme comes from the cookie, so that the first paint is
/// right.
#[cfg(feature = "ssr")]
pub(crate) fn html_document(start: impl IntoView, body: AnyView) -> impl IntoView {
    use theme::Theme;
    let assets = use_context::<Assets>().unwrap_or_default();
    let theme = use_context::<BrowserState>().map(|browser| browser.theme).unwrap_or_default();
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
                <link rel="icon" type="image/svg+xml" href=FAVICON/>
                {style}
                <leptos_meta::MetaTags/>
                {start}
            </head>
            <body>{body}</body>
        </html>
    }
}

/// Type of every route's view. A type of its own for each route costs 4 kB of wasm.
type RouteView = fn() -> AnyView;

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let live = live::provide_live_state();
    shell::listen_for_shortcuts(live);
    let missing: RouteView = || page::not_found::NotFound().into_any();
    let launch: RouteView = || page::launch::Launch().into_any();
    let machines: RouteView = || page::machines::Machines().into_any();
    let channels: RouteView = || server_page(ServerPage::Channels);
    let flows: RouteView = || server_page(ServerPage::Flows);
    let event: RouteView = || server_page(ServerPage::Event);
    let compare: RouteView = || server_page(ServerPage::Compare);
    let jobs: RouteView = || page::jobs::Jobs().into_any();
    let job: RouteView = || page::job::Job().into_any();
    let inbox: RouteView = || page::inbox::Inbox().into_any();
    let search: RouteView = || page::search::Search().into_any();
    let operations: RouteView = || server_page(ServerPage::Operations);
    let people: RouteView = || server_page(ServerPage::People);
    let account: RouteView = || server_page(ServerPage::Account);
    view! {
        <UnreadInTitle live=live/>
        <Router>
            <Routes fallback=missing>
                <Route path=path!("/") view=launch/>
                <Route path=path!("/launch/check") view=launch/>
                <Route path=path!("/launch/upload") view=launch/>
                <Route path=path!("/launch/machines") view=machines/>
                <Route path=path!("/machines") view=machines/>
                <Route path=path!("/channels") view=channels/>
                <Route path=path!("/flows") view=flows/>
                <Route path=path!("/flows/:event") view=event/>
                <Route path=path!("/compare") view=compare/>
                <Route path=path!("/jobs") view=jobs/>
                <Route path=path!("/jobs/:id") view=job/>
                <Route path=path!("/inbox") view=inbox/>
                <Route path=path!("/search") view=search/>
                <Route path=path!("/operations") view=operations/>
                <Route path=path!("/operations/:part") view=operations/>
                <Route path=path!("/people") view=people/>
                <Route path=path!("/account") view=account/>
            </Routes>
        </Router>
    }
}
