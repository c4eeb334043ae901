//! The audit log as a file, for a spreadsheet or an auditor.

use axum::body::Bytes;
use contract::{api::AuditEntry, timestamp};
use engine::{
    Engine,
    store::{self, AuditScope},
};
use futures_util::{Stream, stream};
use uuid::Uuid;

/// Number of entries that are read from the store at once.
const PAGE_SIZE: u32 = 500;

const HEADER: [&str; 7] = ["time", "who", "what", "about", "before", "after", "why"];

/// What of the log is yet to be written.
enum Next {
    Header,
    Before(Option<Uuid>),
    Nothing,
}

/// Returns the audit log as CSV, newest entry first. The stream yields a chunk for each page of the
/// store.
///
/// # Errors
/// The stream yields an error if the store fails.
pub fn audit_csv(
    engine: &Engine,
) -> impl Stream<Item = Result<Bytes, store::Error>> + Send + use<> {
    let store = engine.store().clone();
    stream::try_unfold(Next::Header, move |next| {
        let store = store.clone();
        async move {
            let before = match next {
                Next::Header => {
                    let header = csv_lines(&[HEADER.map(str::to_owned)]);
                    return Ok(Some((header, Next::Before(None))));
                }
                Next::Nothing => return Ok(None),
                Next::Before(before) => before,
            };
            let page = store.audit.entries(AuditScope::Everything, before, PAGE_SIZE).await?;
            let lines: Vec<_> = page.items.iter().map(cells).collect();
            let next = match (page.next, page.items.last()) {
                (Some(_), Some(last)) => Next::Before(Some(last.id)),
                _ => Next::Nothing,
            };
            Ok(Some((csv_lines(&lines), next)))
        }
    })
}

fn cells(entry: &AuditEntry) -> [String; 7] {
    let json = |value: &Option<serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let cells = [
        timestamp::format(entry.at),
        entry.actor_email.clone(),
        entry.action.as_str().to_owned(),
        entry.subject.clone(),
        json(&entry.before),
        json(&entry.after),
        entry.note.clone(),
    ];
    cells.map(without_formula)
}

/// Puts an apostrophe before a text that a spreadsheet would run as a formula, see
/// [OWASP](https://owasp.org/www-community/attacks/CSV_Injection).
fn without_formula(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

fn csv_lines(lines: &[[String; 7]]) -> Bytes {
    let quoted = |cell: &String| match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line =
        |cells: &[String; 7]| cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n";
    lines.iter().map(line).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{UserId, api::AuditAction};

    #[test]
    fn cells_are_quoted_and_run_no_formula() {
        let entry = AuditEntry {
            id: Uuid::nil(),
            at: 1_795_487_628_123,
            actor: UserId(Uuid::nil()),
            actor_email: "ada@example.com".into(),
            action: AuditAction::UpstreamPaused,
            subject: "acme".into(),
            before: None,
            after: Some(serde_json::json!({ "title": "a, b" })),
            note: "=HYPERLINK(\"x\")".into(),
        };
        let text = String::from_utf8(csv_lines(&[cells(&entry)]).to_vec());
        assert_eq!(
            text.as_deref(),
            Ok("2026-11-24T02:33:48.123Z,ada@example.com,upstream.paused,acme,,\
                \"{\"\"title\"\":\"\"a, b\"\"}\",\"'=HYPERLINK(\"\"x\"\")\"\r\n")
        );
    }
}
