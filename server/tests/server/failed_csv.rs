//! The file of a job's failed products.

use crate::{seed, support::new_server};
use reqwest::{Response, StatusCode, header};
use testbed::ServerProcess;

async fn get(meanwhile: &ServerProcess, path: &str) -> Response {
    let request = meanwhile.api.client.get(meanwhile.api.url(path));
    request.header(header::COOKIE, &meanwhile.api.cookie).send().await.unwrap()
}

#[tokio::test]
async fn failed_csv_lists_each_product_once_with_all_reasons() {
    let mut meanwhile = new_server();
    let store = seed::open_store(&meanwhile).await;
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    seed::create_session(&store, ada, "ada").await;
    meanwhile.api.cookie = seed::session_cookie("ada");
    // More rows than one page of the store, and a product that spans two pages.
    let job = seed::create_failed_job(&store, ada, 77, "for the desk").await;
    meanwhile.spawn().await.unwrap();
    let answer = get(&meanwhile, &format!("/jobs/{job}/failed.csv")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let file = answer.text().await.unwrap();
    let mut lines = file.split_terminator("\r\n");
    assert!(lines.next().unwrap().starts_with("sku,title,"), "{file}");
    let rows: Vec<_> = lines.collect();
    assert_eq!(rows.len(), 77);
    for (number, row) in rows.iter().enumerate() {
        assert!(row.starts_with(&format!("F-{number:04},")), "{row}");
        for channel in seed::CHANNELS {
            assert_eq!(row.matches(&format!("{channel} says no.")).count(), 1, "{row}");
        }
    }
    let by_channel = get(&meanwhile, &format!("/jobs/{job}/failed.csv?channel=acme")).await;
    let by_channel = by_channel.text().await.unwrap();
    assert_eq!(by_channel.matches("acme says no.").count(), 77);
    assert_eq!(by_channel.matches("bazaar says no.").count(), 0);
}
