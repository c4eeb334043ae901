//! What admins do on the pages of failed commands: see, edit and replay them.

use crate::support::{get_page, page_text, post_form, start_server};
use contract::{
    TaskId,
    api::{AuditAction, AuditEntry, Page, Task},
    state::TaskState,
};
use reqwest::{Response, StatusCode, header};
use testbed::{ServerProcess, wait_until};

/// Title that the sandbox refuses for products with this mark.
fn long_title() -> String {
    "A lamp with a very long title ".repeat(3)
}

/// Uploads products that the sandbox rejects for their titles, and returns their tasks.
async fn rejected_tasks(server: &ServerProcess, count: usize) -> Vec<Task> {
    let rows = (0..count).map(|n| format!("A-{n}-SBX-SHORTTITLE,{},19.90\n", long_title()));
    let csv = format!("sku,title,price\n{}", rows.collect::<String>());
    let job = server.api.upload_to_channels("acme", csv, "key").await.unwrap().id;
    wait_until("the rejections", async || server.api.job(job).await.unwrap().counts.open == 0)
        .await;
    let tasks = server.api.tasks(job).await.unwrap();
    assert!(tasks.iter().all(|task| task.state == TaskState::Rejected), "{tasks:?}");
    tasks
}

async fn body(server: &ServerProcess, task: TaskId) -> String {
    server.api.task(task).await.unwrap().body.to_string()
}

async fn edit(
    server: &ServerProcess,
    task: TaskId,
    revision: &str,
    text: &str,
    then: &str,
) -> Response {
    let id = task.to_string();
    let fields = [("subject", &*id), ("revision", revision), ("body", text), ("then", then)];
    post_form(server, &format!("/operations/edit?id={task}"), &fields).await
}

fn location(response: &Response) -> &str {
    response.headers()[header::LOCATION].to_str().unwrap()
}

async fn wait_for_state(server: &ServerProcess, task: TaskId, state: TaskState) {
    wait_until("the state", async || server.api.task(task).await.unwrap().task.state == state)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_command_is_seen_edited_and_replayed() {
    let server = start_server().await;
    let task = rejected_tasks(&server, 1).await[0].id;
    let overview = get_page(&server, "/operations").await;
    assert!(overview.contains("Title is over 80 characters"), "{overview}");
    let page = get_page(&server, &format!("/operations/task?id={task}")).await;
    assert!(page.replace("&quot;", "\"").contains("\"specversion\": \"1.0\""), "{page}");
    assert!(page.contains("command-attempt"), "{page}");

    let stored = body(&server, task).await;
    let shorter = stored.replace(long_title().trim(), "A lamp");
    assert_ne!(shorter, stored);
    for (text, words) in [
        (stored.replace("19.90", "cheap"), "/product/price, line 1: the price is not a number"),
        (stored.replace("-SBX-", "-OTHER-"), "/product/sku: this says what the command is about"),
        ("{".into(), "Line 1, column 1: this is no JSON"),
    ] {
        let response = edit(&server, task, "0", &text, "replay").await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        let page = page_text(response).await;
        assert!(page.contains(words), "{words}: {page}");
        assert!(page.contains("aria-invalid"), "{page}");
        assert!(page.replace("&quot;", "\"").contains(&text), "what was typed stays: {page}");
    }
    assert_eq!(body(&server, task).await, stored, "nothing was changed");

    let saved = edit(&server, task, "0", &shorter, "save").await;
    assert_eq!(
        (saved.status(), location(&saved)),
        (StatusCode::SEE_OTHER, &*format!("/operations/task?id={task}"))
    );
    let late = edit(&server, task, "0", &stored.replace("19.90", "9.90"), "save").await;
    assert_eq!(late.status(), StatusCode::CONFLICT);
    let page = page_text(late).await;
    assert!(page.contains("ada@example.com has edited this command since you opened it"), "{page}");
    assert_eq!(server.api.task(task).await.unwrap().task.state, TaskState::Rejected);

    let id = task.to_string();
    let replay = async |revision: &str| {
        post_form(&server, "/operations/task", &[("subject", &id), ("revision", revision)]).await
    };
    let unseen = replay("0").await;
    assert!(location(&unseen).contains("has%20edited"), "{}", location(&unseen));
    assert_eq!(server.api.task(task).await.unwrap().task.state, TaskState::Rejected);
    let replayed = replay("1").await;
    assert_eq!(replayed.status(), StatusCode::SEE_OTHER);
    wait_for_state(&server, task, TaskState::Succeeded).await;
    let again = replay("1").await;
    assert!(location(&again).contains("has%20not%20failed"), "{}", location(&again));
    let late = edit(&server, task, "1", &stored, "replay").await;
    assert_eq!(late.status(), StatusCode::CONFLICT);

    let audit = server.api.get_json("/api/v1/audit").await.unwrap();
    let entries = serde_json::from_value::<Page<AuditEntry>>(audit).unwrap().items;
    let actions: Vec<_> = entries.iter().map(|entry| entry.action).collect();
    let expected =
        [AuditAction::CommandReplayed, AuditAction::CommandEdited, AuditAction::JobLaunched];
    assert_eq!(actions, expected);
    assert_eq!(entries[1].after.as_ref().unwrap()["/product/title"], "A lamp");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_failed_items_of_a_reason_run_again() {
    let server = start_server().await;
    let tasks = rejected_tasks(&server, 3).await;
    let overview = get_page(&server, "/operations").await;
    let (_, rest) = overview.split_once("/operations/failures?id=").unwrap();
    let (reason, _) = rest.split_once('"').unwrap();
    let page = get_page(&server, &format!("/operations/failures?id={reason}")).await;
    assert!(page.contains("3 items in 1 job of ada@example.com run again"), "{page}");
    assert!(page.contains("Replay 3 items"), "{page}");
    let (_, rest) = page.split_once("name=\"until\" value=\"").unwrap();
    let (until, _) = rest.split_once('"').unwrap();

    // One of them is corrected first, so that it succeeds; the others are rejected again.
    let first = tasks[0].id;
    let shorter = body(&server, first).await.replace(long_title().trim(), "A lamp");
    assert_eq!(edit(&server, first, "0", &shorter, "save").await.status(), StatusCode::SEE_OTHER);
    // An item that failed after the page was shown is not in its number.
    let none =
        post_form(&server, "/operations/failures", &[("subject", reason), ("until", "1")]).await;
    assert!(location(&none).contains("nothing%20was%20changed"), "{}", location(&none));
    let fields = [("subject", reason), ("until", until)];
    let replayed = post_form(&server, "/operations/failures", &fields).await;
    assert_eq!(location(&replayed), format!("/operations/failures?id={reason}"));
    wait_until("the replayed items", async || {
        let attempts = async |task: &Task| server.api.task(task.id).await.unwrap().attempts.len();
        attempts(&tasks[1]).await == 2 && attempts(&tasks[2]).await == 2
    })
    .await;
}
