//! Loads credentials by AWS's own chain, and keeps them until they are about to expire.

mod chain;

pub use chain::ChainLoader;

use crate::Error;
use async_trait::async_trait;
use aws_credential_types::Credentials;
use std::{
    sync::PoisonError,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// Time before their expiry at which credentials are loaded again, as AWS's tools do.
const EXPIRY_MARGIN: Duration = Duration::from_secs(300);
/// Minimum time between two loads. Credentials that come with less time left than
/// [`EXPIRY_MARGIN`] are used for as long, and an error is repeated for as long, so that many
/// calls cause one load.
const MIN_LOAD_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum time of one load. A `credential_process` may ask another service.
const LOAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Source of credentials.
#[async_trait]
pub trait LoadCredentials: Send + Sync + 'static {
    /// Loads credentials. Nothing of an earlier load is reused, so that what a person has
    /// changed since is seen.
    ///
    /// # Errors
    /// [`Error::Credentials`], or [`Error::Temporary`] if the source could not be reached.
    async fn load(&self) -> Result<Credentials, Error>;
}

/// Credentials that are always the same, for the sandbox and for tests.
pub struct FixedCredentials(pub Credentials);

impl FixedCredentials {
    /// Creates credentials of a key that does not expire.
    pub fn new(access_key_id: &str, secret_access_key: &str) -> Self {
        Self(Credentials::new(access_key_id, secret_access_key, None, None, "fixed"))
    }
}

#[async_trait]
impl LoadCredentials for FixedCredentials {
    async fn load(&self) -> Result<Credentials, Error> {
        Ok(self.0.clone())
    }
}

/// Cache of the credentials of one account. One caller loads, the others wait for it.
pub(crate) struct CredentialsCache {
    loader: Box<dyn LoadCredentials>,
    last_load: Mutex<Option<Load>>,
    /// Error of the last call that AWS refused because of the credentials, until a call succeeds.
    last_fault: std::sync::Mutex<Option<Error>>,
}

struct Load {
    at: Instant,
    /// Time from which `result` is no longer used.
    reload_at: Instant,
    result: Result<Credentials, Error>,
}

impl CredentialsCache {
    pub fn new(loader: impl LoadCredentials) -> Self {
        Self {
            loader: Box::new(loader),
            last_load: Mutex::default(),
            last_fault: std::sync::Mutex::default(),
        }
    }

    /// Returns why the last call could not be made with the credentials, or was refused.
    pub fn last_fault(&self) -> Option<Error> {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the result of a call.
    pub fn record<T>(&self, result: &Result<T, Error>) {
        let fault = match result {
            Err(error @ Error::Credentials { .. }) => Some(error.clone()),
            // Nobody knows whether the credentials were accepted.
            Err(Error::Temporary { .. }) => return,
            _ => None,
        };
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns credentials that have not expired.
    pub async fn get(&self) -> Result<Credentials, Error> {
        let mut last_load = self.last_load.lock().await;
        match &*last_load {
            Some(load) if Instant::now() < load.reload_at => load.result.clone(),
            _ => self.load(&mut last_load).await,
        }
    }

    /// Returns other credentials than `refused`, which AWS did not accept; `None` if there are
    /// no others.
    pub async fn replace(&self, refused: &Credentials) -> Result<Option<Credentials>, Error> {
        let mut last_load = self.last_load.lock().await;
        let known = match &*last_load {
            // Another call has replaced them already, or has just tried to.
            Some(load)
                if load.at.elapsed() < MIN_LOAD_INTERVAL
                    || load.result.as_ref().is_ok_and(|known| !are_same(known, refused)) =>
            {
                load.result.clone()
            }
            _ => self.load(&mut last_load).await,
        };
        known.map(|credentials| (!are_same(&credentials, refused)).then_some(credentials))
    }

    async fn load(&self, last_load: &mut Option<Load>) -> Result<Credentials, Error> {
        let result = timeout(LOAD_TIMEOUT, self.loader.load()).await.unwrap_or_else(|_| {
            let seconds = LOAD_TIMEOUT.as_secs();
            let message = format!("No AWS credentials were loaded within {seconds} s.");
            Err(Error::temporary("credentials_timeout", message, false))
        });
        let at = Instant::now();
        let usable = match &result {
            Ok(credentials) => usable_for(credentials, SystemTime::now()),
            Err(_) => Some(MIN_LOAD_INTERVAL),
        };
        // Keys without an expiry are read again every hour, in case a person replaces them.
        let usable = usable.unwrap_or(Duration::from_secs(3600));
        *last_load = Some(Load { at, reload_at: at + usable, result: result.clone() });
        result
    }
}

/// Returns for how long credentials are used before they are loaded again; `None` if they don't
/// expire.
fn usable_for(credentials: &Credentials, now: SystemTime) -> Option<Duration> {
    let left = credentials.expiry()?.duration_since(now).unwrap_or_default();
    Some(left.saturating_sub(EXPIRY_MARGIN).max(MIN_LOAD_INTERVAL))
}

fn are_same(one: &Credentials, other: &Credentials) -> bool {
    one.access_key_id() == other.access_key_id()
        && one.secret_access_key() == other.secret_access_key()
        && one.session_token() == other.session_token()
}

#[cfg(test)]
mod tests;
