//! Port to the machines of EC2 accounts, with a cache.
//!
//! Describing machines spends a rate limit that starting them needs too. Results are
//! therefore cached for [`CACHE_TTL`], and callers that come during a read share its
//! result.

mod filter;

pub use filter::{FilteredMachines, MachineFilter};

use async_trait::async_trait;
use contract::api::{Instance, LaunchTemplate};
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// Maximum age of a cached result.
pub const CACHE_TTL: Duration = Duration::from_secs(3);
/// Maximum time that a page waits for the machines. An account with thousands of machines, or
/// whose credentials have to be loaded first, takes some seconds.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the machines can't be listed. The messages are shown to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No EC2 account is configured.
    #[error("No account with machines is set up.")]
    NotConfigured,
    /// The call failed on the network.
    #[error("EC2 can't be reached. Try again.")]
    Unreachable,
    /// EC2 failed, and the same call may succeed later.
    #[error("EC2 answered with an error of its own. Try again in some seconds.")]
    Failing,
    /// There was no answer within [`READ_TIMEOUT`].
    #[error("EC2 has not answered within 5 seconds. Try again in some seconds.")]
    Slow,
    /// The account's rate limit is used up, or EC2 asked to wait.
    #[error("EC2 is busy with other calls of this account. Try again in some seconds.")]
    Busy,
    /// An admin has paused the calls to EC2.
    #[error("EC2 is not asked for the machines. {0}")]
    Paused(String),
    /// The rate limiter can't be used, and without it nobody may call.
    #[error("The rate limiter for EC2 can't be reached. Try again soon.")]
    LimiterUnavailable,
    /// EC2 answered with an error, which is the message.
    #[error("{0}")]
    Rejected(String),
}

/// Account and region that have machines. Both are empty for the account of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MachineLocation {
    /// Name of the account in the configuration.
    pub account: String,
    /// Region, such as `eu-central-1`.
    pub region: String,
}

/// Port to the machines of one account and region.
#[async_trait]
pub trait MachineSource: Send + Sync {
    /// Returns the account and region.
    fn location(&self) -> &MachineLocation;

    /// Says what alarm each machine gets once it runs: its name, and when it is raised.
    fn alarm(&self) -> &str;

    /// Describes all machines, within the account's rate limit.
    ///
    /// # Errors
    /// The machines can't be listed; see [`Error`].
    async fn describe_machines(&self) -> Result<Vec<Instance>, Error>;

    /// Describes all launch templates, within the account's rate limit.
    ///
    /// # Errors
    /// The templates can't be listed; see [`Error`].
    async fn describe_launch_templates(&self) -> Result<Vec<LaunchTemplate>, Error>;
}

/// Cache of the machines of all configured accounts; cheap to clone.
#[derive(Clone, Default)]
pub struct MachineCache(Arc<MachineCacheInner>);

/// What the accounts that could be listed have.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// Machines or launch templates. Machines are sorted by name, those without a name last.
    pub items: Arc<[T]>,
    /// Accounts and regions that could not be listed, with the reasons.
    pub problems: Arc<[(MachineLocation, Error)]>,
    /// When the read began. EC2 may have described an item at any time after it.
    started: Instant,
}

impl<T> Listing<T> {
    #[cfg(test)]
    pub(crate) fn new(items: Vec<T>, problems: Vec<(MachineLocation, Error)>) -> Self {
        Self { items: items.into(), problems: problems.into(), started: Instant::now() }
    }

    /// Returns the time since the read began: what happened within it may be newer than the
    /// listing.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }
}

type MachinesResult = Result<Listing<Instance>, Error>;
type TemplatesResult = Result<Listing<LaunchTemplate>, Error>;

#[derive(Default)]
struct MachineCacheInner {
    sources: Vec<Arc<dyn MachineSource>>,
    /// Errors are cached too, so that reloading a page costs no call.
    last_read: Mutex<Option<LastRead>>,
    known: Mutex<HashMap<String, KnownMachine>>,
    last_templates: tokio::sync::Mutex<Option<(Instant, TemplatesResult)>>,
    read_lock: tokio::sync::Mutex<()>,
}

struct LastRead {
    at: Instant,
    result: MachinesResult,
    problems: Arc<[(MachineLocation, Error)]>,
}

/// What was read of a machine that may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMachine {
    /// Name tag; empty without one.
    pub name: String,
    /// Account and region.
    pub location: MachineLocation,
}

impl MachineCache {
    /// Creates an empty cache of the machines of `sources`.
    pub fn with_sources(sources: Vec<Arc<dyn MachineSource>>) -> Self {
        Self(Arc::new(MachineCacheInner { sources, ..MachineCacheInner::default() }))
    }

    /// Returns all machines that could be listed, read at most [`CACHE_TTL`] ago, by name, so that
    /// the pages of a list stay the same: EC2 promises no order. EC2 may have described them up to
    /// [`READ_TIMEOUT`] earlier: see [`Listing::age`].
    ///
    /// # Errors
    /// No source lists its machines within [`READ_TIMEOUT`]: the error is that of the first one.
    pub async fn list(&self) -> MachinesResult {
        let shared = &*self.0;
        if shared.sources.is_empty() {
            return Err(Error::NotConfigured);
        }
        let _read_guard = shared.read_lock.lock().await;
        if let Some(last_read) = &*shared.last_read.lock()
            && last_read.at.elapsed() < CACHE_TTL
        {
            return last_read.result.clone();
        }
        let started = Instant::now();
        let read = shared.read_all(|source| source.describe_machines()).await;
        for (location, machines) in &read.listed {
            shared.remember(location, machines);
        }
        let problems: Arc<[_]> = read.problems.into();
        let result = match (read.listed.is_empty(), problems.first()) {
            (true, Some((_, error))) => Err(error.clone()),
            _ => {
                let mut machines: Vec<_> = read.listed.into_iter().flat_map(|(_, it)| it).collect();
                machines.sort_by_cached_key(|machine| {
                    (machine.name.is_empty(), machine.name.to_lowercase(), machine.id.clone())
                });
                Ok(Listing { items: machines.into(), problems: problems.clone(), started })
            }
        };
        let last_read = LastRead { at: Instant::now(), result: result.clone(), problems };
        *shared.last_read.lock() = Some(last_read);
        result
    }

    /// Returns all launch templates that could be listed, read at most [`CACHE_TTL`] ago.
    ///
    /// # Errors
    /// No source lists its templates within [`READ_TIMEOUT`]: the error is that of the first one.
    pub async fn launch_templates(&self) -> TemplatesResult {
        let mut last_templates = self.0.last_templates.lock().await;
        if let Some((at, result)) = &*last_templates
            && at.elapsed() < CACHE_TTL
        {
            return result.clone();
        }
        let started = Instant::now();
        let read = self.0.read_all(|source| source.describe_launch_templates()).await;
        let result = match (read.listed.is_empty(), read.problems.first()) {
            (true, Some((_, error))) => Err(error.clone()),
            _ => {
                let templates = read.listed.into_iter().flat_map(|(_, it)| it).collect();
                Ok(Listing { items: templates, problems: read.problems.into(), started })
            }
        };
        *last_templates = Some((Instant::now(), result.clone()));
        result
    }

    /// Returns the accounts and regions whose machines the last read could not list, all of them
    /// or some, with the reasons.
    pub fn last_problems(&self) -> Arc<[(MachineLocation, Error)]> {
        let last_read = self.0.last_read.lock();
        last_read.as_ref().map_or_else(Arc::default, |last| last.problems.clone())
    }

    /// Returns the accounts and regions that are configured.
    pub fn locations(&self) -> Vec<MachineLocation> {
        self.0.sources.iter().map(|source| source.location().clone()).collect()
    }

    /// Returns what alarm the machines of each account and region get once they run, for people.
    pub fn alarms(&self) -> Vec<(&MachineLocation, &str)> {
        self.0.sources.iter().map(|source| (source.location(), source.alarm())).collect()
    }

    /// Returns those of `ids` that are not among the machines of the configured accounts; none
    /// of them if the machines of an account can't be listed.
    pub async fn find_unknown(&self, ids: &[String]) -> Vec<String> {
        let Ok(listing) = self.list().await else { return Vec::new() };
        if !listing.problems.is_empty() {
            return Vec::new();
        }
        let known: HashSet<_> = listing.items.iter().map(|machine| machine.id.as_str()).collect();
        ids.iter().filter(|id| !known.contains(id.as_str())).cloned().collect()
    }

    /// Returns what was last read of a machine.
    pub fn last_known(&self, id: &str) -> Option<KnownMachine> {
        self.0.known.lock().get(id).cloned()
    }
}

/// What the sources answered.
struct SourcesRead<T> {
    listed: Vec<(MachineLocation, Vec<T>)>,
    problems: Vec<(MachineLocation, Error)>,
}

impl MachineCacheInner {
    /// Asks all sources at once, each with its own time limit.
    async fn read_all<'s, T, R>(
        &'s self,
        describe: impl Fn(&'s dyn MachineSource) -> R,
    ) -> SourcesRead<T>
    where
        R: Future<Output = Result<Vec<T>, Error>>,
    {
        let reads = self.sources.iter().map(|source| {
            let described = timeout(READ_TIMEOUT, describe(&**source));
            async move { (source.location().clone(), described.await.unwrap_or(Err(Error::Slow))) }
        });
        let mut read = SourcesRead { listed: Vec::new(), problems: Vec::new() };
        for (location, described) in join_all(reads).await {
            match described {
                Ok(items) => read.listed.push((location, items)),
                Err(error) => read.problems.push((location, error)),
            }
        }
        read
    }

    /// Replaces what is known of the machines of a location.
    fn remember(&self, location: &MachineLocation, machines: &[Instance]) {
        let mut known = self.known.lock();
        known.retain(|_, machine| machine.location != *location);
        known.extend(machines.iter().map(|machine| {
            let name = machine.name.clone();
            (machine.id.clone(), KnownMachine { name, location: location.clone() })
        }));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Answers after 100 ms; every third answer is an error.
    #[derive(Default)]
    struct StubSource {
        calls: AtomicU32,
        never_answers: bool,
        location: MachineLocation,
    }

    impl StubSource {
        fn at(account: &str, region: &str) -> Arc<Self> {
            let location = MachineLocation { account: account.into(), region: region.into() };
            Arc::new(Self { location, ..Self::default() })
        }
    }

    fn cache(source: Arc<StubSource>) -> MachineCache {
        MachineCache::with_sources(vec![source])
    }

    fn last_name(machines: &MachineCache, id: &str) -> Option<String> {
        machines.last_known(id).map(|machine| machine.name)
    }

    #[async_trait]
    impl MachineSource for StubSource {
        fn location(&self) -> &MachineLocation {
            &self.location
        }

        fn alarm(&self) -> &str {
            "“up”"
        }

        async fn describe_launch_templates(&self) -> Result<Vec<LaunchTemplate>, Error> {
            Ok(Vec::new())
        }

        async fn describe_machines(&self) -> Result<Vec<Instance>, Error> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if self.never_answers {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if call % 3 == 2 {
                return Err(Error::Unreachable);
            }
            Ok(vec![Instance {
                id: format!("i-{}1", self.location.region),
                name: format!("web-{call}"),
                state: "stopped".into(),
                instance_type: "t3.small".into(),
                zone: "a".into(),
                account: self.location.account.clone(),
                region: self.location.region.clone(),
            }])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_reads_share_one_call_until_the_cache_expires() {
        let source = Arc::new(StubSource::default());
        let machines = cache(source.clone());
        assert_eq!(last_name(&machines, "i-1"), None);
        let all = (0..50).map(|_| machines.list());
        for read in futures_util::future::join_all(all).await {
            assert_eq!(read.unwrap().items.len(), 1);
        }
        assert_eq!(source.calls.load(Ordering::SeqCst), 1);
        assert_eq!(last_name(&machines, "i-1").as_deref(), Some("web-0"));
        tokio::time::advance(CACHE_TTL).await;
        assert_eq!(machines.list().await.unwrap().items[0].name, "web-1");
        tokio::time::advance(CACHE_TTL).await;
        assert_eq!(machines.list().await.unwrap_err(), Error::Unreachable);
        assert_eq!(last_name(&machines, "i-1").as_deref(), Some("web-1"), "names outlive an error");
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_is_as_old_as_the_call_that_it_shares() {
        let machines = cache(Arc::default());
        let age = async || machines.list().await.unwrap().age();
        assert_eq!(age().await, Duration::from_millis(100), "since before EC2 answered");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(age().await, Duration::from_millis(2_100));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(age().await, Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn ids_outside_the_account_are_found_where_its_machines_are_known() {
        let machines = cache(Arc::default());
        let ids = ["i-1", "i-2"].map(str::to_owned);
        assert_eq!(machines.find_unknown(&ids).await, ["i-2"]);
        for _ in 0..2 {
            tokio::time::advance(CACHE_TTL).await;
            let _ = machines.list().await;
        }
        // The third answer is an error.
        assert_eq!(machines.find_unknown(&ids).await, [""; 0]);
        assert_eq!(MachineCache::default().find_unknown(&ids).await, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_can_t_be_listed_hides_no_other() {
        let sources = [StubSource::at("ops", "eu"), StubSource::at("shop", "us")];
        // The next answer of this one is an error.
        sources[1].calls.store(2, Ordering::SeqCst);
        let machines =
            MachineCache::with_sources(sources.iter().cloned().map(|it| it as _).collect());
        let Listing { items: listed, problems, .. } = machines.list().await.unwrap();
        assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["i-eu1"]);
        assert_eq!(*problems, [(sources[1].location.clone(), Error::Unreachable)]);
        assert_eq!(machines.last_problems(), problems);
        // Nobody can tell whether the other account has it.
        assert_eq!(machines.find_unknown(&["i-us1".to_owned()]).await, [""; 0]);
        tokio::time::advance(CACHE_TTL).await;
        assert_eq!(machines.list().await.unwrap().items.len(), 2);
        let location = machines.last_known("i-us1").map(|machine| machine.location);
        assert_eq!(location, Some(sources[1].location.clone()));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_time_out_and_errors_are_cached() {
        let machines = cache(Arc::new(StubSource { never_answers: true, ..StubSource::default() }));
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(machines.list().await.unwrap_err(), Error::Slow);
        }
        assert_eq!(start.elapsed(), READ_TIMEOUT, "an error is cached as long as a result");
        assert_eq!(MachineCache::default().list().await.unwrap_err(), Error::NotConfigured);
    }
}
