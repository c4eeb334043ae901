//! `GET /jobs/{id}/failed.csv`: what failed, as a file to correct and upload
//! again.

use crate::{problem::Problem, request::Params, session::SignedIn, state::State};
use axum::{
    body::Body,
    extract::{Path, State as Extract},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use contract::{JobId, state::JobKind};
use futures_util::{StreamExt, stream};

pub async fn download(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<JobId>,
    params: Params,
) -> Result<Response, Problem> {
    let user = who.identity.user;
    let job = state.engine.store().job(user, job).await?;
    if job.kind != JobKind::ProductUploads {
        return Err(Problem::not_found());
    }
    let params = params.only(&["channel"])?;
    let channel = params.read("channel", job.channels.join(", "), |id| {
        job.channels.iter().find(|channel| *channel == id).cloned()
    })?;
    let place = state.room.download(user)?;
    let name = attachment(&job.title, channel.as_deref());
    let csv = state.engine.failed_csv(user, job.id, channel).await?;
    let readers = state.readers.clone();
    // Each piece waits its turn to read; the place is kept until the last one.
    let csv = stream::unfold((Box::pin(csv), place), move |(mut csv, place)| {
        let readers = readers.clone();
        async move {
            let _turn = readers.turn(user).await;
            let piece = csv.next().await?;
            // The head of the answer is sent: its connection ends in the middle.
            let piece = piece.inspect_err(|error| {
                tracing::error!(%error, "a download could not be read to its end");
            });
            Some((piece, (csv, place)))
        }
    });
    let headers: [(HeaderName, String); 3] = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".into()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".into()),
    ];
    Ok((headers, Body::from_stream(csv)).into_response())
}

/// The name of the file that was uploaded, with `-failed`. What a header can't
/// carry as it is comes encoded: <https://www.rfc-editor.org/rfc/rfc6266>.
fn attachment(title: &str, channel: Option<&str>) -> String {
    let stem = title.strip_suffix(".csv").unwrap_or(title);
    let of = channel.map(|id| format!("-{id}")).unwrap_or_default();
    let (mut plain, mut encoded) = (String::new(), String::new());
    for letter in format!("{stem}{of}-failed.csv").chars() {
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
    fn a_header_carries_any_name() {
        assert_eq!(
            attachment("lamps.csv", None),
            "attachment; filename=\"lamps-failed.csv\"; filename*=UTF-8''lamps-failed.csv"
        );
        assert_eq!(
            attachment("a\"b\r\nÖl", Some("acme")),
            "attachment; filename=\"a_b___l-acme-failed.csv\"; \
             filename*=UTF-8''a%22b%0D%0A%C3%96l-acme-failed.csv"
        );
    }
}
