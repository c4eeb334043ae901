//! Rows of an uploaded file that no task was made of, with the reason: kept with the
//! job, so that they can be corrected and uploaded.

use super::{
    Error, Jobs, execute, query_all, query_one, row,
    row::Row,
    row_set::{
        ColumnType::{BigInt, Text, Uuid},
        MAX_ROWS_PER_STATEMENT, RowSet,
    },
};
use contract::{JobId, UserId, feed::BadRow};
use sea_orm::ConnectionTrait;

/// What a job keeps of the file that it was launched from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadedFile {
    /// Number of data rows, without the header and blank rows.
    pub row_count: u32,
    /// Cells of the header.
    pub header: Vec<String>,
    /// Rows that no task was made of, in the order of the file.
    pub left_out: Vec<LeftOutRow>,
}

impl UploadedFile {
    pub(super) fn left_out_count(&self) -> u32 {
        u32::try_from(self.left_out.len()).unwrap_or(u32::MAX)
    }
}

/// A row of an uploaded file that no task was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutRow {
    /// Its line and column, and why it was left out.
    pub row: BadRow,
    /// Its cells, as the file has them.
    pub cells: Vec<String>,
}

pub(super) async fn insert_left_out_rows<C: ConnectionTrait>(
    c: &C,
    job: JobId,
    left_out: &[LeftOutRow],
) -> Result<(), Error> {
    for part in left_out.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("job_id", Uuid),
            ("line", BigInt),
            ("column_name", Text),
            ("reason", Text),
            ("cells", Text),
        ]);
        for LeftOutRow { row, cells } in part {
            rows.push([
                job.0.into(),
                i64::try_from(row.line).unwrap_or(i64::MAX).into(),
                row.column.as_deref().into(),
                row.reason.as_str().into(),
                row::to_json_text("cells", cells)?.into(),
            ])?;
        }
        let sql = format!(
            "INSERT INTO left_out_rows (job_id, line, column_name, reason, cells) \
             SELECT new.* FROM {}",
            rows.table_sql(c, 1)
        );
        execute(c, &sql, [rows.into_value()]).await?;
    }
    Ok(())
}

pub(super) async fn delete_left_out_rows<C: ConnectionTrait>(
    c: &C,
    job: JobId,
) -> Result<(), Error> {
    execute(c, "DELETE FROM left_out_rows WHERE job_id = $1", [job.0.into()]).await.map(|_| ())
}

impl Jobs {
    /// Returns the header of the file that a job was launched from; empty for other
    /// jobs.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn file_header(&self, user: UserId, job: JobId) -> Result<Vec<String>, Error> {
        let sql = "SELECT file_header FROM jobs WHERE id = $1 AND user_id = $2";
        let found = query_one(&self.db.reader, sql, [job.0.into(), user.0.into()]).await?;
        let header = found.ok_or(Error::NotFound)?.optional_json("file_header")?;
        Ok(header.unwrap_or_default())
    }

    /// Returns the rows of a job's file that were left out, in the order of the file,
    /// after the line `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn left_out_rows(
        &self,
        user: UserId,
        job: JobId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LeftOutRow>, Error> {
        let job = self.job(user, job).await?;
        let sql = "SELECT line, column_name, reason, cells FROM left_out_rows \
                   WHERE job_id = $1 AND line > $2 ORDER BY line LIMIT $3";
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let values = [job.id.0.into(), after.into(), i64::from(limit).into()];
        query_all(&self.db.reader, sql, values).await?.iter().map(left_out_row).collect()
    }
}

fn left_out_row(found: &Row) -> Result<LeftOutRow, Error> {
    let row = BadRow {
        line: found.get::<i64>("line")?.unsigned_abs(),
        column: found.get("column_name")?,
        reason: found.get("reason")?,
    };
    Ok(LeftOutRow { row, cells: found.json("cells")? })
}
