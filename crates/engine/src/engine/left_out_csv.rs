//! Left-out rows of a job's file as a file that can be corrected and uploaded.

use super::Engine;
use crate::{
    feed,
    store::{self, LeftOutRow},
};
use bytes::Bytes;
use contract::{JobId, UserId};
use futures_util::{Stream, stream};

/// Number of rows that are read from the store at once. One is as large as a row of the
/// file, mostly some 100 bytes.
const PAGE_SIZE: u32 = 100;

/// Progress of writing the file.
struct LeftOutCsvWriter {
    engine: Engine,
    user: UserId,
    job: JobId,
    header: Vec<String>,
    /// Line of the last row that was read.
    last_line: u64,
    has_written_header: bool,
}

impl Engine {
    /// Returns the rows of a job's file that were left out, as a CSV file with the
    /// columns of the original and the reason; see [`feed::left_out_csv`]. The stream
    /// yields chunks, each read from the store when the one before has been consumed.
    ///
    /// # Errors
    /// [`store::Error::NotFound`] if the user has no such job. The stream yields an error
    /// if the store fails after the first chunk.
    pub async fn left_out_csv(
        &self,
        user: UserId,
        job: JobId,
    ) -> Result<impl Stream<Item = Result<Bytes, store::Error>> + Send + use<>, store::Error> {
        let header = self.store.jobs.file_header(user, job).await?;
        let writer = LeftOutCsvWriter {
            engine: self.clone(),
            user,
            job,
            header,
            last_line: 0,
            has_written_header: false,
        };
        Ok(stream::try_unfold(writer, |mut writer| async move {
            let chunk = writer.next_chunk().await?;
            Ok(chunk.map(|chunk| (chunk, writer)))
        }))
    }
}

impl LeftOutCsvWriter {
    /// Returns the next chunk of the file; `None` at its end.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, store::Error> {
        let jobs = &self.engine.store.jobs;
        let rows = jobs.left_out_rows(self.user, self.job, self.last_line, PAGE_SIZE).await?;
        if rows.is_empty() && self.has_written_header {
            return Ok(None);
        }
        self.last_line = rows.last().map_or(self.last_line, |last| last.row.line);
        let with_header = !std::mem::replace(&mut self.has_written_header, true);
        let rows = rows.into_iter().map(|LeftOutRow { row, cells }| (row, cells));
        feed::left_out_csv(&self.header, with_header, rows)
            .map(|csv| Some(csv.into()))
            .map_err(|error| store::Error::Corrupt { what: "row", why: error.to_string() })
    }
}
