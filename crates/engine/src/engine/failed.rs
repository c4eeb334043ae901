//! What failed, as a file that can be corrected and uploaded again.

use super::Engine;
use crate::{feed, store};
use contract::{JobId, UserId};

impl Engine {
    /// The failed products of a job as a plain CSV file, of one channel or of
    /// all; see [`feed::failed_rows_csv`].
    ///
    /// # Errors
    /// [`store::Error::NotFound`] where the user has no such job.
    pub async fn failed_csv(
        &self,
        user: UserId,
        job: JobId,
        channel: Option<&str>,
    ) -> Result<Vec<u8>, store::Error> {
        let failed = self.store.failed_uploads(user, job, channel).await?;
        let name = |id: &str| {
            let known = self.channels.iter().find(|channel| channel.id == id);
            known.map_or_else(|| id.to_owned(), |channel| channel.name.clone())
        };
        let reasons: Vec<_> = failed
            .iter()
            .map(|(upload, reason)| format!("{}: {reason}", name(&upload.channel)))
            .collect();
        let rows = failed.iter().zip(&reasons);
        feed::failed_rows_csv(rows.map(|((upload, _), why)| (&upload.product, why.as_str())))
            .map_err(|error| store::Error::Corrupt { what: "product", why: error.to_string() })
    }
}
