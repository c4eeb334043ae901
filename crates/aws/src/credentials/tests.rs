#![allow(clippy::unwrap_used)]
use super::*;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Source whose loads take 100 ms; each result has the number of the load as its key.
#[derive(Clone, Default)]
struct CountingLoader {
    loads: Arc<AtomicU32>,
    /// Time from a load to the expiry of its credentials.
    lifetime: Option<Duration>,
    fails: bool,
    always_same: bool,
}

#[async_trait]
impl LoadCredentials for CountingLoader {
    async fn load(&self) -> Result<Credentials, Error> {
        let number = self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if self.fails {
            let message = "Sign in again.".to_owned();
            return Err(Error::Credentials { code: "no_credentials".into(), message });
        }
        let number = if self.always_same { 0 } else { number };
        let expiry = self.lifetime.map(|lifetime| SystemTime::now() + lifetime);
        Ok(Credentials::new(format!("key-{number}"), "secret", None, expiry, "test"))
    }
}

impl CountingLoader {
    fn count(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

async fn key(cache: &CredentialsCache) -> String {
    cache.get().await.unwrap().access_key_id().to_owned()
}

#[tokio::test(start_paused = true)]
async fn many_calls_load_once_until_five_minutes_before_the_expiry() {
    let lifetime = Some(Duration::from_secs(3600));
    let loader = CountingLoader { lifetime, ..CountingLoader::default() };
    let cache = Arc::new(CredentialsCache::new(loader.clone()));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { key(&cache).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "key-0");
    }
    tokio::time::advance(Duration::from_secs(3600 - 305)).await;
    assert_eq!(key(&cache).await, "key-0");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(key(&cache).await, "key-1");
    assert_eq!(loader.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_soon_are_used_for_a_while() {
    let lifetime = Some(Duration::from_secs(60));
    let loader = CountingLoader { lifetime, ..CountingLoader::default() };
    let cache = CredentialsCache::new(loader.clone());
    for _ in 0..10 {
        assert_eq!(key(&cache).await, "key-0");
    }
    tokio::time::advance(MIN_LOAD_INTERVAL).await;
    assert_eq!(key(&cache).await, "key-1");
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_replaced_once() {
    let loader = CountingLoader::default();
    let cache = CredentialsCache::new(loader.clone());
    let refused = cache.get().await.unwrap();
    tokio::time::advance(MIN_LOAD_INTERVAL).await;
    for _ in 0..10 {
        let replaced = cache.replace(&refused).await.unwrap().unwrap();
        assert_eq!(replaced.access_key_id(), "key-1");
    }
    assert_eq!(loader.count(), 2);
    // There is nothing else to try if the source still has the same ones.
    let loader = CountingLoader { always_same: true, ..CountingLoader::default() };
    let cache = CredentialsCache::new(loader.clone());
    let refused = cache.get().await.unwrap();
    tokio::time::advance(MIN_LOAD_INTERVAL).await;
    for _ in 0..10 {
        assert!(cache.replace(&refused).await.unwrap().is_none());
    }
    assert_eq!(loader.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_repeated_for_a_while_and_then_tried_again() {
    let loader = CountingLoader { fails: true, ..CountingLoader::default() };
    let cache = CredentialsCache::new(loader.clone());
    for _ in 0..10 {
        assert_eq!(cache.get().await.unwrap_err().to_string(), "Sign in again.");
    }
    assert_eq!(loader.count(), 1);
    tokio::time::advance(MIN_LOAD_INTERVAL).await;
    assert!(cache.get().await.is_err());
    assert_eq!(loader.count(), 2);
}
