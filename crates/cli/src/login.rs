//! `meanwhile login`.

use crate::{
    api_client::ApiClient,
    arguments::LoginArguments,
    error::{Completion, Error},
    output,
    profile::{Connection, ProfileFile, Token, parse_origin},
    prompt,
};

/// Reads a token, checks it with one request, and saves it with the URL.
pub async fn run(arguments: LoginArguments) -> Result<Completion, Error> {
    let origin = parse_origin(&arguments.url)?;
    let is_local = origin.host_str().is_some_and(tls::is_local_host);
    if origin.scheme() == "http" && !is_local {
        output::print_note(
            "Warning: with http:// everyone on the way can read the token. Use https:// if the \
             server has it.",
        );
    }
    let question = format!(
        "API token of {} (the page Account makes one; what you type is not shown): ",
        origin.as_str().trim_end_matches('/')
    );
    let token = Token::parse(&prompt::read_secret(&question)?)?;
    let connection = Connection { origin, token };
    ApiClient::new(connection.clone())?.get("/jobs?limit=1").await?;
    let path = ProfileFile::path()?;
    let mut file = ProfileFile::read(&path)?;
    file.insert(&arguments.profile, &connection);
    file.write(&path)?;
    output::print_line(&format!(
        "The token works at {}. Saved as the profile {} in {}.",
        connection.url(),
        arguments.profile,
        path.display()
    ))?;
    Ok(Completion::Success)
}
