//! Uploads of product files, and the dry run that precedes one.

use super::{Engine, LaunchError, check_idempotency_key, run_blocking};
use crate::{
    feed::{self, Feed},
    store::{Actor, LeftOutRow, NewJob, NewTask, UploadedFile},
};
use bytes::Bytes;
use contract::{
    api::{DryRun, Job},
    command::ProductUpload,
    feed::{BadRow, QuestionSubject, ReadOptions},
    state::JobKind,
    text,
};
use sha2::{Digest, Sha256};

/// Number of products that a dry run shows.
const PREVIEW_PRODUCTS: usize = 5;

/// A request to upload the products of a file.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    /// Who uploads.
    pub actor: Actor,
    /// Name of the file, which becomes the title of the job.
    pub file_name: &'a str,
    /// Content of the file.
    pub bytes: Bytes,
    /// Ids of the channels to upload to.
    pub channels: &'a [String],
    /// Whether to upload the good rows although there are bad ones.
    pub skip_bad: bool,
    /// How the file is read.
    pub options: ReadOptions,
    /// Key that makes a repeated request return the job of the first one.
    pub idempotency_key: Option<String>,
}

impl Engine {
    /// Returns what an upload of the file would do, without launching anything.
    ///
    /// # Errors
    /// The file can't be read, or its name or a channel is invalid. Bad rows and open questions
    /// are part of the result instead.
    pub async fn dry_run(
        &self,
        file_name: &str,
        bytes: Bytes,
        channels: &[String],
        options: ReadOptions,
    ) -> Result<DryRun, LaunchError> {
        text::FILE_NAME.check(file_name)?;
        self.find_channels(channels)?;
        let now = self.store.database.now_ms();
        let feed = run_blocking(move || feed::read(&bytes, &options, now)).await??;
        let products = feed.products.len();
        let estimate = self.estimate(channels, products as u64).await?;
        Ok(DryRun { estimate, ..describe(file_name, feed) })
    }

    /// Accepts a job of product uploads. No upstream is called yet.
    ///
    /// # Errors
    /// The launch is invalid, or the store refused it; see [`LaunchError`].
    pub async fn upload_products(&self, upload: Upload<'_>) -> Result<Job, LaunchError> {
        text::FILE_NAME.check(upload.file_name)?;
        check_idempotency_key(upload.idempotency_key.as_deref())?;
        let channels = self.find_channels(upload.channels)?;
        if channels.is_empty() {
            return Err(LaunchError::Invalid("Choose at least one channel.".into()));
        }
        let ids: Vec<_> = channels.iter().map(|channel| channel.id.clone()).collect();
        let (actor, title) = (upload.actor, upload.file_name.to_owned());
        let (bytes, skip_bad, options) = (upload.bytes, upload.skip_bad, upload.options);
        let (chosen, now) = (ids.clone(), self.store.database.now_ms());
        let work = move || build_upload_tasks(&bytes, skip_bad, &options, &chosen, now);
        let (tasks, file, hash) = run_blocking(work).await??;
        self.accept_job(NewJob {
            actor,
            kind: JobKind::ProductUploads,
            title,
            channels: ids,
            tasks,
            file: Some(file),
            idempotency: upload.idempotency_key.map(|key| (key, hash)),
        })
        .await
    }
}

fn describe(file_name: &str, mut feed: Feed) -> DryRun {
    // Prices are provisional while it is open what separates their decimals.
    let is_provisional = feed
        .questions
        .iter()
        .any(|question| matches!(question.subject, QuestionSubject::Decimal { .. }));
    let products = feed.products.len() as u64;
    feed.products.truncate(if is_provisional { 0 } else { PREVIEW_PRODUCTS });
    DryRun {
        file: file_name.to_owned(),
        format: feed.format,
        delimiter: feed.delimiter,
        encoding: feed.encoding,
        sheets: feed.sheets,
        sheet: feed.sheet,
        header_digest: feed.header_digest,
        columns: feed.columns,
        decimal: feed.decimal,
        currency: feed.currency,
        sale_prices: feed.sale_prices,
        questions: feed.questions,
        rows: feed.row_count,
        products,
        variants: feed.variant_count,
        bad_rows: feed.bad_rows,
        bad_row_count: feed.bad_rows_total,
        left_out: feed.left_out,
        notes: feed.notes,
        note_count: feed.notes_total,
        preview: feed.products,
        ..DryRun::default()
    }
}

/// Returns the tasks of a file, one per product and channel, what the job keeps of the file,
/// and a hash of the request.
fn build_upload_tasks(
    bytes: &[u8],
    skip_bad: bool,
    options: &ReadOptions,
    channels: &[String],
    now: i64,
) -> Result<(Vec<NewTask>, UploadedFile, String), LaunchError> {
    let (feed, left_out) = feed::read_with_left_out(bytes, options, now)?;
    let feed = check_feed(feed, skip_bad)?;
    let kept = |(row, cells): (contract::feed::LeftOutRow, Vec<String>)| LeftOutRow {
        row: BadRow { line: row.line, column: row.column, reason: row.reason },
        cells,
    };
    let file = UploadedFile {
        row_count: u32::try_from(feed.row_count).unwrap_or(u32::MAX),
        header: left_out.header,
        left_out: left_out.rows.into_iter().map(kept).collect(),
    };
    let mut tasks = Vec::with_capacity(feed.products.len() * channels.len());
    for (row, product) in (0..).zip(&feed.products) {
        for channel in channels {
            let command = ProductUpload { channel: channel.clone(), product: product.clone() };
            let task = NewTask::new(
                &command,
                Some(channel.clone()),
                product.sku.clone(),
                product.title.clone(),
                row,
            );
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
    }
    let mut hash = Sha256::new_with_prefix(bytes);
    hash.update(channels.join(","));
    hash.update([u8::from(skip_bad)]);
    if *options != ReadOptions::default() {
        let options = serde_json::to_vec(options);
        hash.update(options.map_err(|error| LaunchError::Invalid(error.to_string()))?);
    }
    Ok((tasks, file, hex::encode(hash.finalize())))
}

/// Returns the content of a file if it can be launched.
fn check_feed(feed: Feed, skip_bad: bool) -> Result<Feed, LaunchError> {
    let total = feed.bad_rows_total;
    if !feed.questions.is_empty() {
        return Err(LaunchError::OpenQuestions {
            questions: feed.questions,
            bad_rows: feed.bad_rows,
            bad_row_count: total,
        });
    }
    if total > 0 && !skip_bad {
        return Err(LaunchError::BadRows { rows: feed.bad_rows, total });
    }
    if feed.products.is_empty() {
        return Err(LaunchError::NothingToUpload {
            bad_rows: feed.bad_rows,
            bad_row_count: total,
            left_out: Box::new(feed.left_out),
        });
    }
    Ok(feed)
}
