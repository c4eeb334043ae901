//! `meanwhile tokens`.

use crate::{
    api_client::ApiClient,
    arguments::{ClientOptions, TokensCommand},
    error::{Completion, Error},
    output::{print_json, print_line},
    profile::Connection,
    timestamp,
};
use contract::api::{Page, Token};
use serde_json::json;

/// Lists or revokes tokens, or says where to create one.
pub async fn run(command: TokensCommand) -> Result<Completion, Error> {
    match command {
        TokensCommand::List(options) => list(&options).await,
        TokensCommand::Create(options) => {
            // The API wants the password of a person for it, so that a leaked token can't make
            // others that nobody revokes.
            let connection = Connection::resolve(&options)?;
            Err(Error::Declined(format!(
                "A token can't create another token. Create one in the browser, at {}/account \
                 under \"API tokens\", then save it with `meanwhile login`.",
                connection.url()
            )))
        }
        TokensCommand::Revoke { id, client } => {
            let api = ApiClient::resolve(&client)?;
            api.delete(&format!("/tokens/{id}")).await?;
            match client.json {
                true => print_json(&json!({ "id": id, "revoked": true }))?,
                false => print_line(&format!("The token {id} is revoked."))?,
            }
            Ok(Completion::Success)
        }
    }
}

async fn list(options: &ClientOptions) -> Result<Completion, Error> {
    let api = ApiClient::resolve(options)?;
    let body = api.get("/tokens").await?;
    if options.json {
        print_json(&body)?;
        return Ok(Completion::Success);
    }
    let tokens: Page<Token> = api.parse(body)?;
    for token in tokens.items {
        let created = timestamp::for_people(&token.created_at);
        let used = timestamp::for_people(&token.last_used_at);
        let expires = timestamp::for_people(&token.expires_at);
        let terms = format!("{:<6}  expires {expires}", token.scope.as_str());
        let times = format!("created {created}  last used {used}");
        print_line(&format!("{}  {terms}  {times}  {}", token.id, token.name))?;
    }
    Ok(Completion::Success)
}
