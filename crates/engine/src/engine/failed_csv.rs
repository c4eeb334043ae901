//! Failed products as a file that can be corrected and uploaded again.

use super::Engine;
use crate::{
    feed,
    store::{self, FailedUpload},
};
use bytes::Bytes;
use contract::{JobId, UserId};
use futures_util::{Stream, stream};

/// Number of uploads that are read from the store at once. One has up to 100 KiB of text,
/// and mostly far less.
const PAGE_SIZE: u32 = 32;

/// Writes the file of failed products chunk by chunk.
struct FailedCsvWriter {
    engine: Engine,
    user: UserId,
    job: JobId,
    channel: Option<String>,
    /// Uploads that were read and are not written yet.
    pending: Vec<FailedUpload>,
    /// Whether more may follow in the store.
    has_more: bool,
    has_written_header: bool,
}

impl Engine {
    /// Returns the failed products of a job, of one channel or of all, as a plain CSV
    /// file; see [`feed::failed_rows_csv`]. The stream yields chunks, each read from the
    /// store when the one before has been consumed, so that a slow reader of a large file
    /// keeps no more than one chunk in memory.
    ///
    /// # Errors
    /// [`store::Error::NotFound`] if the user has no such job. The stream yields an error
    /// if the store fails after the first chunk.
    pub async fn failed_csv(
        &self,
        user: UserId,
        job: JobId,
        channel: Option<String>,
    ) -> Result<impl Stream<Item = Result<Bytes, store::Error>> + Send + use<>, store::Error> {
        let mut writer = FailedCsvWriter {
            engine: self.clone(),
            user,
            job,
            channel,
            pending: Vec::new(),
            has_more: true,
            has_written_header: false,
        };
        writer.read_page().await?;
        Ok(stream::try_unfold(writer, |mut writer| async move {
            let chunk = writer.next_chunk().await?;
            Ok(chunk.map(|chunk| (chunk, writer)))
        }))
    }
}

impl FailedCsvWriter {
    /// Reads the page after the pending uploads.
    async fn read_page(&mut self) -> Result<(), store::Error> {
        let after = self.pending.last().map(|last| last.cursor);
        let channel = self.channel.as_deref();
        let store = &self.engine.store;
        let page =
            store.jobs.failed_uploads(self.user, self.job, channel, after, PAGE_SIZE).await?;
        self.has_more = page.len() == PAGE_SIZE as usize;
        self.pending.extend(page);
        Ok(())
    }

    /// Returns the next chunk of the file; `None` at its end.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, store::Error> {
        if self.has_written_header && self.pending.is_empty() {
            return Ok(None);
        }
        loop {
            // A product that failed on several channels is written once, so the last
            // row waits until all of its failures are read.
            let last = self.pending.last().map(|last| last.cursor.0);
            let whole = self.pending.partition_point(|upload| Some(upload.cursor.0) != last);
            let whole = if self.has_more { whole } else { self.pending.len() };
            if whole > 0 || !self.has_more {
                let rows: Vec<_> = self.pending.drain(..whole).collect();
                let chunk = self.write_rows(&rows)?;
                self.has_written_header = true;
                if self.has_more {
                    self.read_page().await?;
                }
                return Ok(Some(chunk));
            }
            self.read_page().await?;
        }
    }

    fn write_rows(&self, rows: &[FailedUpload]) -> Result<Bytes, store::Error> {
        let channels = self.engine.channels();
        let name = |id: &str| {
            let known = channels.iter().find(|channel| channel.id == id);
            known.map_or_else(|| id.to_owned(), |channel| channel.name.clone())
        };
        let reason = |failed: &FailedUpload| {
            reason_of_channel(&name(&failed.upload.channel), &failed.reason)
        };
        let reasons: Vec<_> = rows.iter().map(reason).collect();
        let rows = rows.iter().map(|failed| &failed.upload.product);
        let rows = rows.zip(reasons.iter().map(String::as_str));
        feed::failed_rows_csv(rows, !self.has_written_header)
            .map(Bytes::from)
            .map_err(|error| store::Error::Corrupt { what: "product", why: error.to_string() })
    }
}

/// Returns why a channel does not have a product. Most reasons begin with its name
/// already: “Acme rejected it”.
fn reason_of_channel(channel: &str, reason: &str) -> String {
    match reason.starts_with(channel) {
        true => reason.to_owned(),
        false => format!("{channel}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::reason_of_channel;

    #[test]
    fn reason_names_its_channel_once() {
        for (reason, sentence) in [
            ("Acme rejected it: Too dear", "Acme rejected it: Too dear"),
            ("No answer in time.", "Acme: No answer in time."),
        ] {
            assert_eq!(reason_of_channel("Acme", reason), sentence);
        }
    }
}
