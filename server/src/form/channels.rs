//! Handler of the forms by which admins check, pause and slow down channels for everybody.

use super::flash::redirect_with_form;
use crate::{problem::Problem, session::AdminUser, state::AppState};
use app::page::channels::RefusedForm;
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use contract::api::{PaceRequest, PauseRequest};
use engine::engine::ControlError;
use jiff::{SignedDuration, Timestamp, civil, tz::Offset};
use serde::Deserialize;

const PAGE: &str = "/channels";

#[derive(Deserialize)]
pub struct ControlForm {
    /// Length of a pause: `15m`, `1h` or `tomorrow`.
    #[serde(default, rename = "for")]
    length: String,
    /// End of a pause in UTC, as a field of the type `datetime-local` has it. It wins over the
    /// length.
    #[serde(default)]
    until: String,
    #[serde(default)]
    note: String,
    /// Requests per second.
    #[serde(default)]
    rate: String,
    /// Present if the rate is to be what the configuration says.
    reset: Option<String>,
    /// Id of the limit whose rate is changed.
    limit: Option<String>,
}

pub async fn control(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path((id, what)): Path<(String, String)>,
    Form(form): Form<ControlForm>,
) -> Result<Response, Problem> {
    let (engine, actor) = (&state.engine, admin.actor());
    let mut refused = RefusedForm {
        upstream: id.clone(),
        action: what.clone(),
        length: form.length.clone(),
        until: form.until.clone(),
        note: form.note.clone(),
        rate: form.rate.clone(),
        limit: form.limit.clone().unwrap_or_default(),
        ..RefusedForm::default()
    };
    let result = match what.as_str() {
        "pause" => {
            let now = engine.store().database.now_ms();
            match end_of_pause(&form, now) {
                Some(until) => {
                    let request = PauseRequest { until, note: form.note };
                    engine.pause_upstream(actor, &id, &request).await
                }
                None => {
                    let message = "Say how long the channel is paused, or until when in UTC.";
                    Err(ControlError::Invalid(message.into()))
                }
            }
        }
        "resume" => engine.resume_upstream(actor, &id).await,
        "pace" => match parse_rate(&form) {
            Ok(rate) => {
                let request = PaceRequest { rate, limit: form.limit };
                engine.change_pace(actor, &id, &request).await
            }
            Err(error) => Err(error),
        },
        "check" => engine.check_upstream(actor, &id).await.map(|_| ()),
        _ => Err(ControlError::Unknown),
    };
    match result.map_err(Problem::from) {
        Ok(()) => Ok(Redirect::to(PAGE).into_response()),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Err(problem),
        Err(problem) => {
            refused.problem = problem.detail;
            let (argument, anchor) = refused.argument_and_anchor();
            Ok(redirect_with_form(PAGE, &argument, &anchor))
        }
    }
}

/// Returns the rate of the form, which may have a decimal comma; `None` for the configured one.
fn parse_rate(form: &ControlForm) -> Result<Option<f64>, ControlError> {
    if form.reset.is_some() {
        return Ok(None);
    }
    let rate = form.rate.trim().replace(',', ".").parse();
    let message = "The pace is a number of requests per second, such as 1.5.";
    rate.map(Some).map_err(|_| ControlError::Invalid(message.into()))
}

/// Returns the end of the pause that the form asks for, UTC ms.
fn end_of_pause(form: &ControlForm, now_ms: i64) -> Option<i64> {
    let now = Timestamp::from_millisecond(now_ms).ok()?;
    let until = match (form.until.trim(), form.length.as_str()) {
        ("", "15m") => now.checked_add(SignedDuration::from_mins(15)).ok()?,
        ("", "1h") => now.checked_add(SignedDuration::from_hours(1)).ok()?,
        ("", "tomorrow") => {
            let tomorrow = Offset::UTC.to_datetime(now).date().tomorrow().ok()?;
            Offset::UTC.to_timestamp(tomorrow.at(8, 0, 0, 0)).ok()?
        }
        ("", _) => return None,
        (until, _) => {
            let until: civil::DateTime = until.parse().ok()?;
            Offset::UTC.to_timestamp(until).ok()?
        }
    };
    Some(until.as_millisecond())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 2026-11-24 02:33:48 UTC.
    const NOW: i64 = 1_795_487_628_000;

    fn form() -> ControlForm {
        ControlForm {
            length: String::new(),
            until: String::new(),
            note: String::new(),
            rate: String::new(),
            reset: None,
            limit: None,
        }
    }

    fn pause_ends(length: &str, until: &str) -> Option<String> {
        let form = ControlForm { length: length.into(), until: until.into(), ..form() };
        let end = end_of_pause(&form, NOW)?;
        Some(Timestamp::from_millisecond(end).unwrap().to_string())
    }

    #[test]
    fn pause_ends_after_its_length_or_at_the_given_time() {
        for (length, until, end) in [
            ("15m", "", Some("2026-11-24T02:48:48Z")),
            ("1h", " ", Some("2026-11-24T03:33:48Z")),
            ("tomorrow", "", Some("2026-11-25T08:00:00Z")),
            ("15m", "2026-12-01T09:30", Some("2026-12-01T09:30:00Z")),
            ("", "", None),
            ("for ever", "", None),
            ("15m", "soon", None),
        ] {
            assert_eq!(pause_ends(length, until).as_deref(), end, "{length} {until}");
        }
    }

    #[test]
    fn rate_is_a_number_or_the_configured_one() {
        let rate = |text: &str| ControlForm { rate: text.into(), ..form() };
        assert_eq!(parse_rate(&rate(" 1.5 ")).unwrap(), Some(1.5));
        assert_eq!(parse_rate(&rate("1,5")).unwrap(), Some(1.5));
        assert!(parse_rate(&rate("fast")).is_err());
        assert!(parse_rate(&rate("")).is_err());
        let reset = ControlForm { reset: Some("true".into()), ..rate("1.5") };
        assert_eq!(parse_rate(&reset).unwrap(), None);
    }
}
