//! The witness: every request and effect, in memory and appended to a file before it is answered.

mod file;
mod record;
mod row;
mod summary;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub use file::OpenError;
pub use record::{Effect, Record, Request, Snapshot};
pub use row::{Answered, Arrived, Effected};
pub use summary::Summary;

use file::LedgerFile;
use row::{Body, Row};

use crate::spec::services;

/// Rows go to the file first and to memory after, so that what a reader sees is kept.
pub struct Ledger {
    /// None once closed.
    file: Mutex<Option<LedgerFile>>,
    records: BTreeMap<&'static str, Mutex<Kept>>,
}

/// All that is known of one service, in the order of the file.
#[derive(Clone, Default)]
pub struct Kept {
    pub requests: Vec<(Arrived, Option<Answered>)>,
    pub effects: Vec<Effected>,
}

impl Ledger {
    /// Reads what an earlier run has written and goes on behind it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let mut kept: BTreeMap<&'static str, Kept> =
            services().map(|service| (service, Kept::default())).collect();
        let file = LedgerFile::open(path, |row: Row<String>| {
            kept.get_mut(row.service.as_str()).is_some_and(|kept| kept.add(row.body))
        })?;
        let records = kept.into_iter().map(|(service, kept)| (service, Mutex::new(kept)));
        Ok(Self { file: Mutex::new(Some(file)), records: records.collect() })
    }

    /// Writes down a request and gives its number, which [`Ledger::answered`] needs.
    pub fn arrived(&self, service: &'static str, arrived: Arrived) -> io::Result<usize> {
        let mut kept = self.kept(service)?;
        self.append(service, &Body::Arrived(arrived.clone()))?;
        kept.requests.push((arrived, None));
        Ok(kept.requests.len() - 1)
    }

    pub fn answered(&self, service: &'static str, answered: Answered) -> io::Result<()> {
        let mut kept = self.kept(service)?;
        self.append(service, &Body::Answered(answered))?;
        kept.add(Body::Answered(answered));
        Ok(())
    }

    pub fn effect(&self, service: &'static str, effect: Effected) -> io::Result<()> {
        let mut kept = self.kept(service)?;
        self.append(service, &Body::Effect(effect.clone()))?;
        kept.effects.push(effect);
        Ok(())
    }

    /// What an earlier run and this one know of a service.
    pub fn of(&self, service: &str) -> Kept {
        self.kept(service).map(|kept| kept.clone()).unwrap_or_default()
    }

    pub fn snapshot(&self) -> Snapshot {
        self.each(|kept| kept.into())
    }

    pub fn summary(&self) -> BTreeMap<&'static str, Summary> {
        self.each(|kept| kept.into())
    }

    /// Frees the file for the next sandbox, whoever still holds this one.
    pub fn close(&self) {
        hold(&self.file).take();
    }

    fn each<T>(&self, view: impl Fn(&Kept) -> T) -> BTreeMap<&'static str, T> {
        let records = self.records.iter();
        records.map(|(service, kept)| (*service, view(&hold(kept)))).collect()
    }

    fn kept(&self, service: &str) -> io::Result<MutexGuard<'_, Kept>> {
        self.records.get(service).map(hold).ok_or_else(|| io::Error::other("unknown service"))
    }

    fn append(&self, service: &'static str, body: &Body) -> io::Result<()> {
        match hold(&self.file).as_mut() {
            Some(file) => file.append(&Row { service, body }),
            None => Err(io::Error::other("the ledger is closed")),
        }
    }
}

impl Kept {
    /// False where the row answers a request that is not there.
    fn add(&mut self, body: Body) -> bool {
        match body {
            Body::Arrived(arrived) => self.requests.push((arrived, None)),
            Body::Effect(effect) => self.effects.push(effect),
            Body::Answered(answered) => match self.requests.get_mut(answered.request) {
                Some((_, answer)) => *answer = Some(answered),
                None => return false,
            },
        }
        true
    }
}

/// A panic of another holder leaves nothing half done here: each section changes one thing last.
pub fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
