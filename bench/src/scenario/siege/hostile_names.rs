//! A file whose name is a script.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection::{self, STRANGER, status},
};
use futures_util::FutureExt;

pub const ATTEMPT: Attempt = Attempt {
    name: "hostile-names",
    required: "A file's name stays text wherever it is shown.",
    run: |setting| run(setting).boxed(),
};

/// As a URL carries it: `</title><script src=data:text/javascript,alert(1) x="`.
const SCRIPT: &str =
    "%3C%2Ftitle%3E%3Cscript%20src%3Ddata%3Atext%2Fjavascript%2Calert(1)%20x%3D%22";

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let meanwhile = setting.start().await?;
    let api = &meanwhile.api;
    let port = api.port;
    let headers = format!(
        "Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nCookie: {}\r\n\
         Connection: close\r\n",
        api.cookie
    );
    let mut outcome = Outcome::default();

    let file = "sku,title,price\nA-1,Lamp,19.90\n";
    let request = format!(
        "POST /api/v1/jobs/product-uploads?channels=acme&file={SCRIPT} HTTP/1.1\r\n{headers}\
         Content-Length: {}\r\n\r\n{file}",
        file.len()
    );
    let answer = connection::ask(STRANGER, port, request.as_bytes()).await?;
    let job = answer.lines().find_map(|line| line.strip_prefix("location: /api/v1"));
    // Refused, it is shown nowhere.
    let mut paths = vec!["/".to_owned(), "/jobs".to_owned()];
    paths.extend(job.map(|job| job.trim().to_owned()));
    outcome.figure("the launch was answered", status(&answer).to_string());
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        let page = connection::ask(STRANGER, port, request.as_bytes()).await?;
        let held = status(&page) == 200 && !page.contains("<script src=data");
        outcome.require(held, format!("{path} shows the name of a file as text"));
    }
    Ok(outcome)
}
