//! Starts the product for one test.

use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use std::{path::Path, process::Command};
use testbed::{SandboxConfig, ServerProcess, free_port};

/// Path of the binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_meanwhile");

/// Returns a command that starts the binary on these data and on ports of its own, for a
/// start that must fail.
pub fn server_command(data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command
        .env("MEANWHILE_DATA", data)
        .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("RUST_LOG", "error");
    command
}

/// Factor by which the sandbox is faster than real services.
pub const SANDBOX_SPEED: f64 = 20.0;

/// Returns a server that does not run yet and has no account.
pub fn new_server() -> ServerProcess {
    let sandbox = SandboxConfig { speed: SANDBOX_SPEED, seed: 7, faults: true };
    let mut server = ServerProcess::new(Path::new(BINARY), sandbox).unwrap();
    server.set_env("RUST_LOG", "warn");
    // A test may send or wait for longer than a measurement allows a request.
    server.api.client = Client::new();
    server.api.checks_answers = true;
    server
}

/// Starts a server and signs Ada in.
pub async fn start_server() -> ServerProcess {
    let mut server = new_server().with_admin();
    server.spawn().await.unwrap();
    server.api.sign_in().await.unwrap();
    server
}

fn client_without_redirects() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// Returns a page as [`page_text`].
pub async fn get_page(server: &ServerProcess, path: &str) -> String {
    let request = client_without_redirects().get(server.api.url(path));
    let request = request.header(header::COOKIE, &server.api.cookie);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    page_text(response).await
}

/// Returns a page without the marks that separate texts for hydration.
pub async fn page_text(response: Response) -> String {
    response.text().await.unwrap().replace("<!>", "")
}

/// Sends a form as a browser does, and follows no redirect.
pub async fn post_form(server: &ServerProcess, path: &str, fields: &[(&str, &str)]) -> Response {
    let request = client_without_redirects()
        .post(server.api.url(path))
        .header(header::ORIGIN, server.api.url(""))
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, &server.api.cookie);
    request.form(fields).send().await.unwrap()
}
