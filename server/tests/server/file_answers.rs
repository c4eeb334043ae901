//! The launch form's questions about a file: asked, answered, and remembered by the team.

use crate::support::start_server;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use testbed::ServerProcess;

const GERMAN_LIST: &str =
    "Kürzel;Artikel;VK;EK\nL-1;Eichenlampe;19,90;9,10\nL-2;Birkenlampe;29,90;12,00\n";
/// A workbook with the sheets *Hinweise*, which has no products, and *Artikel*.
const WORKBOOK: &[u8] = include_bytes!("../../../end2end/fixtures/two-sheets.xlsx");

/// Sends the launch form as a script does, and returns status and body.
async fn send_form(
    meanwhile: &ServerProcess,
    path: &str,
    file: &[u8],
    answers: &[(&str, &str)],
) -> (StatusCode, String) {
    let mut body = Vec::new();
    for (name, value) in answers.iter().chain(&[("channels", "acme")]) {
        let part =
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    let part =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"liste.csv\"\r\n\r\n";
    body.extend(part.as_bytes());
    body.extend(file);
    body.extend(b"\r\n--b--\r\n");
    let request = meanwhile
        .api
        .post(path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header(header::ACCEPT, "application/json")
        .body(body);
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

/// Returns what the page would show of the file.
async fn check(
    meanwhile: &ServerProcess,
    file: impl AsRef<[u8]>,
    answers: &[(&str, &str)],
) -> Value {
    let (status, body) = send_form(meanwhile, "/launch/check", file.as_ref(), answers).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["Parsed"].clone()
}

async fn jobs(meanwhile: &ServerProcess) -> usize {
    let jobs = meanwhile.api.get_json("/api/v1/jobs").await.unwrap();
    jobs["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn chosen_columns_are_remembered_for_people_and_not_for_programs() {
    let meanwhile = start_server().await;
    let asked = check(&meanwhile, GERMAN_LIST, &[]).await;
    assert_eq!(asked["counts"]["questions"], 1, "{asked}");
    assert_eq!(asked["columns"]["is_question"], true, "{asked}");
    let (status, page) = send_form(&meanwhile, "/launch/upload", GERMAN_LIST.as_bytes(), &[]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("Answer the question above"), "{page}");

    let answers =
        [("checked", "true"), ("map", "sku:#1"), ("map", "title:#2"), ("map", "price:#3")];
    let answered = check(&meanwhile, GERMAN_LIST, &answers).await;
    assert_eq!(answered["counts"]["questions"], 0, "{answered}");
    assert_eq!(answered["preview"][0]["price"], "19.90", "{answered}");
    assert_eq!(answered["map"], "sku:#1,title:#2,price:#3");
    // A check alone is not remembered.
    assert_eq!(check(&meanwhile, GERMAN_LIST, &[]).await["counts"]["questions"], 1);
    let (status, page) =
        send_form(&meanwhile, "/launch/upload", GERMAN_LIST.as_bytes(), &answers).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(jobs(&meanwhile).await, 1);

    let next = GERMAN_LIST.replace("19,90", "18,90");
    let remembered = check(&meanwhile, &next, &[]).await;
    assert_eq!(remembered["preview"][0]["price"], "18.90", "{remembered}");
    let title = remembered["columns"]["title"].as_str().unwrap();
    assert!(title.starts_with("Columns as chosen by ada@example.com on "), "{title}");
    // It is shown before anything is uploaded with it.
    let (status, page) = send_form(&meanwhile, "/launch/upload", next.as_bytes(), &[]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("Your team chose how files with these columns are read"), "{page}");
    assert_eq!(jobs(&meanwhile).await, 1);

    let upload = "/api/v1/jobs/product-uploads?channels=acme";
    let program = meanwhile.api.post(upload).body(next.clone()).send().await.unwrap();
    assert_eq!(program.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let other_header = next.replace("VK", "VK netto");
    assert_eq!(check(&meanwhile, &other_header, &[]).await["counts"]["questions"], 1);
}

#[tokio::test]
async fn remembered_columns_are_forgotten_on_request() {
    let meanwhile = start_server().await;
    let answers =
        [("checked", "true"), ("map", "sku:#1"), ("map", "title:#2"), ("map", "price:#3")];
    let (status, page) =
        send_form(&meanwhile, "/launch/upload", GERMAN_LIST.as_bytes(), &answers).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let remembered = check(&meanwhile, GERMAN_LIST, &[]).await;
    assert_eq!(remembered["columns"]["is_remembered"], true, "{remembered}");
    assert_eq!(remembered["counts"]["questions"], 0, "{remembered}");

    let forget = [&answers[..], &[("forget_columns", "true")]].concat();
    for answers in [&forget[..], &[]] {
        let asked = check(&meanwhile, GERMAN_LIST, answers).await;
        assert_eq!(asked["counts"]["questions"], 1, "{asked}");
        assert_eq!(asked["columns"]["is_remembered"], false, "{asked}");
    }
    let again = check(&meanwhile, GERMAN_LIST, &forget).await;
    assert_eq!(again["problem"], json!(null), "nothing to forget is no problem");
}

#[tokio::test]
async fn what_a_price_means_is_asked_for_every_file() {
    let meanwhile = start_server().await;
    let file = "sku,title,price\nA-1,Lamp,1.500\n";
    let asked = check(&meanwhile, file, &[]).await;
    assert_eq!(asked["decimal"]["is_question"], true, "{asked}");
    let answers = [("checked", "true"), ("decimal", "comma")];
    let answered = check(&meanwhile, file, &answers).await;
    assert_eq!(answered["preview"][0]["price"], "1,500.00", "{answered}");
    assert_eq!(answered["decimal"]["chosen"], "comma");
    let (status, page) = send_form(&meanwhile, "/launch/upload", file.as_bytes(), &answers).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(check(&meanwhile, file, &[]).await["counts"]["questions"], 1);
}

#[tokio::test]
async fn answer_that_can_not_be_used_leaves_the_questions_open() {
    let meanwhile = start_server().await;
    let answers = [("checked", "true"), ("map", "sku:#9")];
    let rejected = check(&meanwhile, GERMAN_LIST, &answers).await;
    assert_eq!(rejected["counts"]["questions"], 1, "{rejected}");
    assert!(rejected["problem"].as_str().unwrap().contains("#9"), "{rejected}");
    assert_eq!(rejected["map"], json!(""));
    let invalid = [("checked", "true"), ("decimal", "dot")];
    let (status, body) =
        send_form(&meanwhile, "/launch/check", GERMAN_LIST.as_bytes(), &invalid).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("allowed: comma, point"), "{body}");
}

#[tokio::test]
async fn sheet_of_a_workbook_is_chosen_and_remembered() {
    let meanwhile = start_server().await;
    let shown = check(&meanwhile, WORKBOOK, &[]).await;
    assert_eq!(shown["sheet"]["chosen"], "Hinweise", "{shown}");
    assert_eq!(shown["counts"]["questions"], 1, "{shown}");
    // Answers about the other sheet are not taken for answers about this one.
    let answers = [
        ("checked", "true"),
        ("shown_sheet", "Hinweise"),
        ("sheet", "Artikel"),
        ("map", "price:#2"),
    ];
    let chosen = check(&meanwhile, WORKBOOK, &answers).await;
    assert_eq!(chosen["counts"]["questions"], 0, "{chosen}");
    assert_eq!(chosen["preview"][1]["price"], "1,299.00", "{chosen}");
    assert_eq!(chosen["preview"][2]["sku"], "0017", "{chosen}");
    let answers = [("checked", "true"), ("shown_sheet", "Artikel"), ("sheet", "Artikel")];
    let (status, page) = send_form(&meanwhile, "/launch/upload", WORKBOOK, &answers).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(jobs(&meanwhile).await, 1);
    assert_eq!(check(&meanwhile, WORKBOOK, &[]).await["sheet"]["chosen"], "Artikel");
}

#[tokio::test]
async fn drafts_and_sales_are_said_with_their_default() {
    let meanwhile = start_server().await;
    let file = "ID,Type,SKU,Name,Published,Sale price,Regular price\n\
                1,simple,L-1,Oak lamp,1,14.90,19.90\n\
                2,simple,L-2,Birch lamp,0,,29.90\n\
                3,simple,L-3,Brass lamp,-1,,39.90\n";
    let shown = check(&meanwhile, file, &[]).await;
    assert_eq!(shown["counts"]["products"], 1, "{shown}");
    assert_eq!(shown["left_out"]["list"]["rows"][1]["line"], 4, "{shown}");
    let chosen = |report: &Value, choice: &str| report[choice]["chosen"].clone();
    assert_eq!(
        (chosen(&shown, "drafts"), chosen(&shown, "price")),
        ("leave_out".into(), "regular".into())
    );
    let answers = [("checked", "true"), ("drafts", "send"), ("price", "sale")];
    let answered = check(&meanwhile, file, &answers).await;
    assert_eq!(answered["counts"]["products"], 3, "{answered}");
    assert_eq!(answered["preview"][0]["price"], "14.90", "{answered}");
    assert_eq!(
        (chosen(&answered, "drafts"), chosen(&answered, "price")),
        ("send".into(), "sale".into())
    );
    assert_eq!(answered["left_out"]["list"]["rows"], json!([]), "{answered}");
}
