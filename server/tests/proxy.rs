//! Behind a proxy: who is counted for what.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::Meanwhile;

async fn wrong(meanwhile: &Meanwhile, nth: usize, forwarded: &str) -> u16 {
    let who = json!({ "email": format!("nobody-{nth}@example.com"), "password": "wrong" });
    let request = meanwhile.post("/api/v1/session").header("x-forwarded-for", forwarded);
    request.json(&who).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn guesses_are_counted_by_the_address_that_a_trusted_proxy_tells() {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    meanwhile.env.push(("MEANWHILE_TRUSTED_PROXY", "10.0.0.0/8,127.0.0.1".into()));
    meanwhile.spawn(true).await;
    for nth in 0..10 {
        let forwarded = format!("198.51.100.{nth}, 203.0.113.7, 10.1.2.3");
        assert_eq!(wrong(&meanwhile, nth, &forwarded).await, 401);
    }
    assert_eq!(wrong(&meanwhile, 10, "203.0.113.7").await, 429);
    assert_eq!(wrong(&meanwhile, 11, "203.0.113.8").await, 401);
}

#[tokio::test]
async fn nobody_guesses_on_by_inventing_addresses() {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    meanwhile.spawn(true).await;
    for nth in 0..10 {
        assert_eq!(wrong(&meanwhile, nth, &format!("203.0.113.{nth}")).await, 401);
    }
    assert_eq!(wrong(&meanwhile, 10, "203.0.113.99").await, 429);
}
