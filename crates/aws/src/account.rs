//! An account of AWS: where its credentials come from, and its clients by region.

use crate::{
    Client,
    credentials::{ChainLoader, CredentialsCache, LoadCredentials},
    endpoint::{Service, configured_url, default_url, parse_url},
    http_client::CredentialsHttpClient,
    query::ClientShared,
};
use aws_config::{BehaviorVersion, SdkConfig};
use std::sync::Arc;
use url::Url;

/// How an account is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOptions {
    /// Name for people, such as `ops`.
    pub name: String,
    /// Profile of `~/.aws/config`; without it AWS's whole chain applies.
    pub profile: Option<String>,
    /// Regions whose machines are used; without any, the region that the environment or the
    /// profile names.
    pub regions: Vec<String>,
}

/// Why an account can't be used with its settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No region is configured.
    #[error(
        "the account “{0}” has no region: set its `regions`, or `region` in its profile, or AWS_REGION"
    )]
    NoRegion(String),
    /// A configured URL can't be used.
    #[error(
        "the URL {url:?} of {service} can't be used: {reason}; correct AWS_ENDPOINT_URL or \
             `endpoint_url` in AWS's configuration"
    )]
    InvalidUrl {
        /// Service that has the URL.
        service: &'static str,
        /// The URL, without password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An account with its clients.
pub struct Account {
    clients: Vec<Client>,
}

impl Account {
    /// Reads the settings of an account from where AWS's tools have them. No credentials are
    /// loaded yet, and nothing is asked except, for an account without a region, the metadata
    /// of the instance.
    ///
    /// # Errors
    /// The settings can't be used; see [`AccountError`].
    pub async fn load(
        options: AccountOptions,
        http_client: reqwest::Client,
    ) -> Result<Self, AccountError> {
        let AccountOptions { name, profile, regions } = options;
        let config = load_settings(profile.as_deref(), regions.first(), &http_client).await;
        let regions = match (regions.is_empty(), config.region()) {
            (false, _) => regions,
            (true, Some(region)) => vec![region.as_ref().to_owned()],
            (true, None) => return Err(AccountError::NoRegion(name)),
        };
        let loader = ChainLoader {
            account: name.clone(),
            profile: profile.clone(),
            region: regions[0].clone(),
            http_client: http_client.clone(),
        };
        let credentials = Arc::new(CredentialsCache::new(loader));
        let clients = regions.into_iter().map(|region| {
            let shared = ClientShared {
                account: name.clone(),
                profile: profile.clone(),
                ec2_url: endpoint(&config, Service::Ec2, &region)?,
                cloudwatch_url: endpoint(&config, Service::CloudWatch, &region)?,
                region,
                credentials: Arc::clone(&credentials),
            };
            let http_client = http_client.clone();
            Ok(Client { shared: Arc::new(shared), http_client, traceparent: None })
        });
        Ok(Self { clients: clients.collect::<Result<_, _>>()? })
    }

    /// Returns the clients, one for each region, in the configured order.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }
}

/// Settings of a client that are not taken from AWS's configuration, such as those of the
/// sandbox.
pub struct ClientOptions {
    /// Name of the account, for people.
    pub account: String,
    /// Region, which is signed too.
    pub region: String,
    /// URL of EC2.
    pub ec2_url: String,
    /// URL of CloudWatch.
    pub cloudwatch_url: String,
    /// Client of the requests.
    pub http_client: reqwest::Client,
}

impl Client {
    /// Creates a client of services at known URLs.
    ///
    /// # Errors
    /// A URL can't be used.
    pub fn new(
        options: ClientOptions,
        credentials: impl LoadCredentials,
    ) -> Result<Self, AccountError> {
        let url = |service: Service, text: &str| {
            parse_url(text).map_err(|reason| invalid_url(service, text, reason))
        };
        let shared = ClientShared {
            ec2_url: url(Service::Ec2, &options.ec2_url)?,
            cloudwatch_url: url(Service::CloudWatch, &options.cloudwatch_url)?,
            account: options.account,
            profile: None,
            region: options.region,
            credentials: Arc::new(CredentialsCache::new(credentials)),
        };
        let http_client = options.http_client;
        Ok(Self { shared: Arc::new(shared), http_client, traceparent: None })
    }
}

/// Reads region and endpoints from the environment and the profile.
async fn load_settings(
    profile: Option<&str>,
    region: Option<&String>,
    http_client: &reqwest::Client,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .no_credentials()
        .http_client(CredentialsHttpClient(http_client.clone()));
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(aws_config::Region::new(region.clone()));
    }
    loader.load().await
}

fn endpoint(config: &SdkConfig, service: Service, region: &str) -> Result<Url, AccountError> {
    let (fips, dual_stack) =
        (config.use_fips().unwrap_or(false), config.use_dual_stack().unwrap_or(false));
    let text = configured_url(config, service)
        .unwrap_or_else(|| default_url(service, region, fips, dual_stack));
    parse_url(&text).map_err(|reason| invalid_url(service, &text, reason))
}

fn invalid_url(service: Service, text: &str, reason: String) -> AccountError {
    let url = match Url::parse(text) {
        Ok(mut url) => {
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => text.to_owned(),
    };
    AccountError::InvalidUrl { service: service.name(), url, reason }
}
