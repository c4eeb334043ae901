//! What failed, as a file that can be corrected and uploaded again.

use super::Engine;
use crate::{
    feed,
    store::{self, FailedUpload},
};
use bytes::Bytes;
use contract::{JobId, UserId};
use futures_util::{Stream, stream};

/// Uploads that are read from the store at once. One has up to 100 KiB of text,
/// and mostly far less.
const PAGE: u32 = 32;

/// A file of failed products that is being written.
struct Writing {
    engine: Engine,
    user: UserId,
    job: JobId,
    channel: Option<String>,
    /// Read, and not written yet.
    pending: Vec<FailedUpload>,
    /// Whether more may follow in the store.
    more: bool,
    has_header: bool,
}

impl Engine {
    /// Returns the failed products of a job as a plain CSV file, of one channel
    /// or of all; see [`feed::failed_rows_csv`]. The file comes in pieces, each
    /// read from the store when the one before has been taken, so that a
    /// slow reader of a large file keeps no more than one piece in memory.
    ///
    /// # Errors
    /// [`store::Error::NotFound`] where the user has no such job. In the
    /// stream, where the store fails after the first piece.
    pub async fn failed_csv(
        &self,
        user: UserId,
        job: JobId,
        channel: Option<String>,
    ) -> Result<impl Stream<Item = Result<Bytes, store::Error>> + Send + use<>, store::Error> {
        let mut writing = Writing {
            engine: self.clone(),
            user,
            job,
            channel,
            pending: Vec::new(),
            more: true,
            has_header: false,
        };
        writing.read().await?;
        Ok(stream::try_unfold(writing, |mut writing| async move {
            let piece = writing.next().await?;
            Ok(piece.map(|piece| (piece, writing)))
        }))
    }
}

impl Writing {
    /// Reads one page behind what is pending.
    async fn read(&mut self) -> Result<(), store::Error> {
        let after = self.pending.last().map(|last| last.place);
        let channel = self.channel.as_deref();
        let store = &self.engine.store;
        let page = store.failed_uploads(self.user, self.job, channel, after, PAGE).await?;
        self.more = page.len() == PAGE as usize;
        self.pending.extend(page);
        Ok(())
    }

    /// Returns the next piece of the file; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        if self.has_header && self.pending.is_empty() {
            return Ok(None);
        }
        loop {
            // A product that failed on several channels is written once: the
            // last row waits until all of it is known.
            let last = self.pending.last().map(|last| last.place.0);
            let whole = self.pending.partition_point(|upload| Some(upload.place.0) != last);
            let whole = if self.more { whole } else { self.pending.len() };
            if whole > 0 || !self.more {
                let rows: Vec<_> = self.pending.drain(..whole).collect();
                let piece = self.write(&rows)?;
                self.has_header = true;
                if self.more {
                    self.read().await?;
                }
                return Ok(Some(piece));
            }
            self.read().await?;
        }
    }

    fn write(&self, rows: &[FailedUpload]) -> Result<Bytes, store::Error> {
        let name = |id: &str| {
            let known = self.engine.channels.iter().find(|channel| channel.id == id);
            known.map_or_else(|| id.to_owned(), |channel| channel.name.clone())
        };
        let reason =
            |failed: &FailedUpload| format!("{}: {}", name(&failed.upload.channel), failed.reason);
        let reasons: Vec<_> = rows.iter().map(reason).collect();
        let rows = rows.iter().map(|failed| &failed.upload.product);
        let rows = rows.zip(reasons.iter().map(String::as_str));
        feed::failed_rows_csv(rows, !self.has_header)
            .map(Bytes::from)
            .map_err(|error| store::Error::Corrupt { what: "product", why: error.to_string() })
    }
}
