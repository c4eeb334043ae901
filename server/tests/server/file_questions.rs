//! Files that leave a question open: the answer says which parameter settles it, and nothing
//! is stored until it is settled.

use crate::support::start_server;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testbed::ServerProcess;

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme";

async fn post(server: &ServerProcess, params: &str, body: &str) -> (StatusCode, Value) {
    let request = server.api.post(&format!("{UPLOAD}{params}")).body(body.to_owned());
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Returns the problem of a launch that is refused.
async fn refuse(server: &ServerProcess, params: &str, body: &str) -> Value {
    let (status, problem) = post(server, params, body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(server.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
    problem
}

#[tokio::test]
async fn an_open_question_refuses_a_launch_until_its_parameter_is_sent() {
    let server = start_server().await;
    let list = "Artikel;Ware;VK\nA-1;Hammer;1.500\nA-2;Zange;0\n";
    let problem = refuse(&server, "", list).await;
    let question = &problem["questions"][0];
    assert_eq!((&question["kind"], &question["parameter"]), (&json!("columns"), &json!("map")));
    let price = &question["missing"][2];
    assert_eq!((&price["field"], &price["candidates"][0]), (&json!("price"), &json!("VK")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("map=sku:Artikel,title:Ware,price:VK"), "{detail}");

    let map = "&map=sku:Artikel,title:Ware,price:VK";
    let problem = refuse(&server, map, list).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("decimal=comma or decimal=point"), "{detail}");
    assert!(detail.contains("zero_price=send or zero_price=leave_out"), "{detail}");
    let parameters: Vec<_> =
        problem["questions"].as_array().unwrap().iter().map(|q| &q["parameter"]).collect();
    assert_eq!(parameters, ["decimal", "zero_price"]);
    assert_eq!(problem["questions"][0]["examples"][0]["as_comma"], json!("1500.00"));

    let answers = format!("{map}&decimal=comma&zero_price=leave_out");
    let (status, run) = post(&server, &format!("{answers}&dry_run=true"), list).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&run["questions"], &run["decimal"]), (&json!([]), &json!("comma")));
    assert_eq!(run["preview"][0]["price"], json!("1500.00"));
    assert_eq!(run["left_out"]["by_kind"][0]["kind"], json!("zero_price"));
    assert_eq!(run["columns"][2]["field"], json!("price"));
    let (status, launched) = post(&server, &answers, list).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{launched}");
    assert_eq!(launched["job"]["total"], json!(1));
}

#[tokio::test]
async fn a_launch_of_nothing_says_why_each_row_is_left_out() {
    let server = start_server().await;
    let file = "sku,title,price,status\nA-1,Lamp,x,\nA-2,Chair,,\nA-3,Table,1,draft\n";
    let problem = refuse(&server, "&skip_bad=true", file).await;
    assert_eq!(
        problem["detail"],
        json!(
            "The file has nothing to upload: all rows are left out (2 bad rows, 1 draft). The \
             first: line 2: the price is not a number (write it like 19.90)."
        )
    );
    assert_eq!(problem["bad_row_count"], json!(2));
    assert_eq!(problem["bad_rows"][1]["line"], json!(3));
    assert_eq!(problem["left_out"]["rows"][0]["line"], json!(4));
}

#[tokio::test]
async fn invalid_parameters_are_rejected_with_what_is_allowed() {
    let server = start_server().await;
    for (params, words) in [
        ("&decimal=dot", "allowed: comma, point"),
        ("&price=low", "allowed: regular, sale"),
        ("&drafts=yes", "allowed: leave_out, send"),
        ("&zero_price=1", "allowed: send, leave_out"),
        ("&map=sku", "names no column"),
        ("&map=isbn:a", "there is no field \"isbn\""),
    ] {
        let (status, problem) = post(&server, params, "sku,title,price\nA-1,Lamp,1\n").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{params}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{params}: {detail}");
    }
}
