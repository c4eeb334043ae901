//! `GET /jobs/{id}/failed.csv` and `/left-out.csv`: the failed items, or the left-out rows,
//! as a file to correct and upload again.

use crate::{
    audit_csv::audit_csv,
    problem::Problem,
    request::QueryParams,
    session::{CurrentUser, OperatorUser},
    state::AppState,
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use contract::{JobId, UserId, state::JobKind};
use engine::store;
use futures_util::{Stream, StreamExt, stream};

pub async fn download(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<JobId>,
    params: QueryParams,
) -> Result<Response, Problem> {
    let user_id = user.identity.user;
    let job = state.engine.store().jobs.job(user_id, job).await?;
    if job.kind != JobKind::ProductUploads {
        return Err(Problem::not_found());
    }
    let params = params.reject_unknown(&["channel"])?;
    let channel = params.parse("channel", job.channels.join(", "), |id| {
        job.channels.iter().find(|channel| *channel == id).cloned()
    })?;
    let suffix = channel.as_deref().map(|id| format!("-{id}")).unwrap_or_default();
    let name = attachment(&job.title, &format!("{suffix}-failed"));
    let permit = state.work_limits.acquire_download(user_id)?;
    let csv = state.engine.failed_csv(user_id, job.id, channel).await?;
    Ok(stream_csv(&state, user_id, permit, name, csv))
}

pub async fn download_left_out(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<JobId>,
) -> Result<Response, Problem> {
    let user_id = user.identity.user;
    let job = state.engine.store().jobs.job(user_id, job).await?;
    if job.kind != JobKind::ProductUploads {
        return Err(Problem::not_found());
    }
    let permit = state.work_limits.acquire_download(user_id)?;
    let csv = state.engine.left_out_csv(user_id, job.id).await?;
    Ok(stream_csv(&state, user_id, permit, attachment(&job.title, "-left-out"), csv))
}

/// `GET /operations/audit.csv`: who did what, for admins.
pub async fn download_audit(
    State(state): State<AppState>,
    OperatorUser(admin): OperatorUser,
) -> Result<Response, Problem> {
    let user_id = admin.identity.user;
    let permit = state.work_limits.acquire_download(user_id)?;
    let csv = audit_csv(&state.engine);
    Ok(stream_csv(&state, user_id, permit, attachment("audit", ""), csv))
}

fn stream_csv(
    state: &AppState,
    user_id: UserId,
    download_permit: impl Send + 'static,
    attachment: String,
    csv: impl Stream<Item = Result<Bytes, store::Error>> + Send + 'static,
) -> Response {
    let limits = state.work_limits.clone();
    // Each chunk waits for a read permit; the download permit lasts until the last one.
    let csv = stream::unfold((Box::pin(csv), download_permit), move |(mut csv, permit)| {
        let limits = limits.clone();
        async move {
            let _read_permit = limits.acquire_read(user_id).await;
            let chunk = csv.next().await?;
            // The headers are sent already, so the error can only end the connection.
            let chunk = chunk.inspect_err(|error| {
                tracing::error!(%error, "a download failed before its end");
            });
            Some((chunk, (csv, permit)))
        }
    });
    let headers: [(HeaderName, String); 3] = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".into()),
        (header::CONTENT_DISPOSITION, attachment),
        (header::CACHE_CONTROL, "no-store".into()),
    ];
    (headers, Body::from_stream(csv)).into_response()
}

/// Returns `Content-Disposition` with the name of the uploaded file plus `suffix`.
/// Characters that a header can't contain are encoded as in
/// [RFC 6266](https://www.rfc-editor.org/rfc/rfc6266).
fn attachment(title: &str, suffix: &str) -> String {
    let stem = title.strip_suffix(".csv").unwrap_or(title);
    let (mut plain, mut encoded) = (String::new(), String::new());
    for letter in format!("{stem}{suffix}.csv").chars() {
        if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.') {
            plain.push(letter);
            encoded.push(letter);
            continue;
        }
        plain.push(if letter == ' ' { ' ' } else { '_' });
        for byte in letter.to_string().bytes() {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn content_disposition_encodes_any_name() {
        assert_eq!(
            attachment("lamps.csv", "-failed"),
            "attachment; filename=\"lamps-failed.csv\"; filename*=UTF-8''lamps-failed.csv"
        );
        assert_eq!(
            attachment("a\"b\r\nÖl", "-acme-failed"),
            "attachment; filename=\"a_b___l-acme-failed.csv\"; \
             filename*=UTF-8''a%22b%0D%0A%C3%96l-acme-failed.csv"
        );
    }
}
