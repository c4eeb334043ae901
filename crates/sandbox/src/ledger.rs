//! The ledger: every request and effect, in memory and appended to a file before the response.

mod file;
mod record;
mod row;
mod summary;

use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, io, path::Path};

pub use file::OpenError;
pub use record::{Effect, Request, ServiceRecord, Snapshot};
pub use row::{AnswerError, EffectRow, RequestRow, ResponseRow};
pub use summary::ServiceSummary;

use file::LedgerFile;
use row::{LedgerRow, RowBody};

/// Writes rows to the file first and to memory afterwards, so that a row that a reader sees is
/// persistent.
pub struct Ledger {
    /// `None` once closed.
    file: Mutex<Option<LedgerFile>>,
    histories: BTreeMap<&'static str, Mutex<ServiceHistory>>,
}

/// Requests and effects of one service, in the order of the file.
#[derive(Clone, Default)]
pub struct ServiceHistory {
    /// Requests, each with its end if it has one.
    pub requests: Vec<(RequestRow, Option<ResponseRow>)>,
    /// Effects of the requests.
    pub effects: Vec<EffectRow>,
}

impl Ledger {
    /// Reads the rows of earlier runs of these services and appends to them.
    ///
    /// # Errors
    /// The file can't be opened, is in use, or has an invalid row.
    pub fn open(
        path: &Path,
        services: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, OpenError> {
        let mut histories: BTreeMap<&'static str, ServiceHistory> =
            services.into_iter().map(|service| (service, ServiceHistory::default())).collect();
        let file = LedgerFile::open(path, |row: LedgerRow<String>| {
            histories.get_mut(row.service.as_str()).is_some_and(|history| history.apply(row.body))
        })?;
        let histories =
            histories.into_iter().map(|(service, history)| (service, Mutex::new(history)));
        Ok(Self { file: Mutex::new(Some(file)), histories: histories.collect() })
    }

    /// Records a request and returns its index, which [`ResponseRow::request_index`] refers to.
    ///
    /// # Errors
    /// The service is unknown, or the file can't be written.
    pub fn record_request(&self, service: &'static str, request: RequestRow) -> io::Result<usize> {
        let mut history = self.lock_history(service)?;
        self.append(service, &RowBody::Request(request.clone()))?;
        history.requests.push((request, None));
        Ok(history.requests.len() - 1)
    }

    /// Records the end of a request.
    ///
    /// # Errors
    /// The service is unknown, or the file can't be written.
    pub fn record_response(&self, service: &'static str, response: ResponseRow) -> io::Result<()> {
        let mut history = self.lock_history(service)?;
        self.append(service, &RowBody::Response(response))?;
        history.apply(RowBody::Response(response));
        Ok(())
    }

    /// Records an effect.
    ///
    /// # Errors
    /// The service is unknown, or the file can't be written.
    pub fn record_effect(&self, service: &'static str, effect: EffectRow) -> io::Result<()> {
        let mut history = self.lock_history(service)?;
        self.append(service, &RowBody::Effect(effect.clone()))?;
        history.effects.push(effect);
        Ok(())
    }

    /// Returns the requests and effects of a service, in this run and earlier ones.
    pub fn service_history(&self, service: &str) -> ServiceHistory {
        self.lock_history(service).map(|history| history.clone()).unwrap_or_default()
    }

    /// Returns the whole ledger, by service.
    pub fn snapshot(&self) -> Snapshot {
        self.map_histories(|history| history.into())
    }

    /// Returns the counts of the ledger, by service.
    pub fn summary(&self) -> BTreeMap<&'static str, ServiceSummary> {
        self.map_histories(|history| history.into())
    }

    /// Releases the file for the next sandbox, even while others still share this ledger.
    pub fn close(&self) {
        self.file.lock().take();
    }

    fn map_histories<T>(&self, view: impl Fn(&ServiceHistory) -> T) -> BTreeMap<&'static str, T> {
        let histories = self.histories.iter();
        histories.map(|(service, history)| (*service, view(&history.lock()))).collect()
    }

    fn lock_history(&self, service: &str) -> io::Result<MutexGuard<'_, ServiceHistory>> {
        self.histories
            .get(service)
            .map(Mutex::lock)
            .ok_or_else(|| io::Error::other("unknown service"))
    }

    fn append(&self, service: &'static str, body: &RowBody) -> io::Result<()> {
        match self.file.lock().as_mut() {
            Some(file) => file.append(&LedgerRow { service, body }),
            None => Err(io::Error::other("the ledger is closed")),
        }
    }
}

impl ServiceHistory {
    /// Adds a row. Returns false for a response to a request that does not exist.
    fn apply(&mut self, body: RowBody) -> bool {
        match body {
            RowBody::Request(request) => self.requests.push((request, None)),
            RowBody::Effect(effect) => self.effects.push(effect),
            RowBody::Response(row) => match self.requests.get_mut(row.request_index) {
                Some((_, response)) => *response = Some(row),
                None => return false,
            },
        }
        true
    }
}
