//! Uploads a file whose name is a script.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    raw_connection::{self, ATTACKER_ADDRESS, status_code},
};
use futures_util::FutureExt;

pub const ATTACK: Attack = Attack {
    name: "hostile-file-names",
    requirement: "A file's name is shown as text everywhere.",
    run: |context| run(context).boxed(),
};

/// URL-encoded form of `</title><script src=data:text/javascript,alert(1) x="`.
const SCRIPT_FILE_NAME: &str =
    "%3C%2Ftitle%3E%3Cscript%20src%3Ddata%3Atext%2Fjavascript%2Calert(1)%20x%3D%22";

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let server = context.start().await?;
    let api = &server.api;
    let port = api.port;
    let headers = format!(
        "Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nCookie: {}\r\n\
         Connection: close\r\n",
        api.cookie
    );
    let mut outcome = AttackResult::default();

    let file = "sku,title,price\nA-1,Lamp,19.90\n";
    let request = format!(
        "POST /api/v1/jobs/product-uploads?channels=acme&file={SCRIPT_FILE_NAME} HTTP/1.1\r\n{headers}\
         Content-Length: {}\r\n\r\n{file}",
        file.len()
    );
    let answer =
        raw_connection::send_and_receive(ATTACKER_ADDRESS, port, request.as_bytes()).await?;
    let job = answer.lines().find_map(|line| line.strip_prefix("location: /api/v1"));
    // A refused file has no job page.
    let mut paths = vec!["/".to_owned(), "/jobs".to_owned()];
    paths.extend(job.map(|job| job.trim().to_owned()));
    outcome.add_figure("the launch was answered", status_code(&answer).to_string());
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        let page =
            raw_connection::send_and_receive(ATTACKER_ADDRESS, port, request.as_bytes()).await?;
        let passed = status_code(&page) == 200 && !page.contains("<script src=data");
        outcome.require(passed, format!("{path} shows the name of a file as text"));
    }
    Ok(outcome)
}
