//! AWS's chain of credentials, and the words for what is wrong with it.

use super::LoadCredentials;
use crate::{Error, http_client::CredentialsHttpClient};
use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, default_provider::credentials::DefaultCredentialsChain,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};
use aws_smithy_types::error::ErrorMetadata;
use std::error::Error as StdError;

/// Loads credentials by [AWS's chain][chain]: from the environment, the profile that
/// `AWS_PROFILE` names, a web identity, the container or the instance. An account with a
/// profile of its own uses that profile alone, as `aws --profile` does.
///
/// [chain]: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
pub struct ChainLoader {
    /// Name of the account in the configuration, for people.
    pub account: String,
    /// Profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// Region of the services that issue credentials.
    pub region: String,
    /// Client of the requests to those services.
    pub http_client: reqwest::Client,
}

#[async_trait]
impl LoadCredentials for ChainLoader {
    async fn load(&self) -> Result<Credentials, Error> {
        // The providers keep what they have read, and an error for ever, so each load makes
        // new ones.
        let config = ProviderConfig::without_region()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_region(Some(Region::new(self.region.clone())))
            .with_http_client(CredentialsHttpClient(self.http_client.clone()));
        let loaded = match &self.profile {
            Some(profile) => {
                let provider = ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .profile_name(profile)
                    .build();
                provider.provide_credentials().await
            }
            None => {
                let chain = DefaultCredentialsChain::builder()
                    .region(Region::new(self.region.clone()))
                    .configure(config)
                    .build()
                    .await;
                chain.provide_credentials().await
            }
        };
        loaded.map_err(|error| self.explain(&error))
    }
}

impl ChainLoader {
    /// Returns what to do about credentials that can't be loaded.
    fn explain(&self, error: &CredentialsError) -> Error {
        let reason = describe_chain(error);
        tracing::debug!(account = self.account, reason, "could not load AWS credentials");
        let (code, message) = match error {
            _ if is_sign_in_fault(&reason) => ("sso_session_ended", self.sign_in_words()),
            CredentialsError::CredentialsNotLoaded(_) => {
                ("no_credentials", self.missing_words(&reason))
            }
            CredentialsError::ProviderTimedOut(_) => {
                let message = format!("AWS credentials could not be loaded in time: {reason}.");
                return Error::temporary("credentials_timeout", message, false);
            }
            _ => {
                let of = self.source_words();
                (
                    "credentials_not_loaded",
                    format!("The AWS credentials of {of} can't be loaded: {reason}."),
                )
            }
        };
        Error::Credentials { code: code.into(), message }
    }

    fn sign_in_words(&self) -> String {
        let option = match &self.profile {
            Some(profile) => format!(" --profile {profile}"),
            None => String::new(),
        };
        format!(
            "The AWS sign-in of the account “{}” has ended: run `aws sso login{option}` as the user \
             that runs Meanwhile.",
            self.account
        )
    }

    fn missing_words(&self, reason: &str) -> String {
        match &self.profile {
            Some(profile) => format!(
                "AWS's configuration has no credentials for the profile `{profile}`: add the profile \
                 to ~/.aws/config of the user that runs Meanwhile, or set another `profile` for the \
                 account “{}”. ({reason})",
                self.account
            ),
            None => format!(
                "There are no AWS credentials for the account “{}”: set its `profile`, or AWS_PROFILE, \
                 or give the machine a role.",
                self.account
            ),
        }
    }

    fn source_words(&self) -> String {
        match &self.profile {
            Some(profile) => format!("profile `{profile}`"),
            None => format!("the account “{}”", self.account),
        }
    }
}

/// Whether a person has to sign in again: the cached token is missing or has expired, or the
/// sign-in portal no longer accepts it.
fn is_sign_in_fault(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["sso token", "sso/cache", "unauthorizedexception", "session token not found or invalid"]
        .iter()
        .any(|sign| reason.contains(sign))
}

/// Returns the messages of an error and its causes, each once. A service's own message
/// replaces the library's, which says only that the error is unhandled.
fn describe_chain(error: &CredentialsError) -> String {
    let mut messages: Vec<String> = Vec::new();
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(cause) = next {
        let message = match cause.downcast_ref::<ErrorMetadata>() {
            Some(metadata) => [metadata.code(), metadata.message()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(": "),
            None => cause.to_string(),
        };
        let is_noise = matches!(message.as_str(), "" | "service error" | "dispatch failure");
        if !is_noise && !messages.iter().any(|known| known.contains(&message)) {
            messages.push(message);
        }
        next = cause.source();
    }
    match messages.is_empty() {
        true => error.to_string(),
        false => messages.join(": ").trim_end_matches('.').to_owned(),
    }
}
