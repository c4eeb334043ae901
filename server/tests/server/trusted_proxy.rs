//! Failed sign-ins count by the forwarded address behind a trusted proxy only.

use crate::support::new_server;
use serde_json::json;
use testbed::ServerProcess;

async fn failed_sign_in_status(meanwhile: &ServerProcess, nth: usize, forwarded: &str) -> u16 {
    let credentials = json!({ "email": format!("nobody-{nth}@example.com"), "password": "wrong" });
    let request = meanwhile.api.post("/api/v1/session").header("x-forwarded-for", forwarded);
    request.json(&credentials).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn sign_in_throttle_uses_the_address_from_a_trusted_proxy() {
    let mut meanwhile = new_server().with_admin();
    meanwhile.set_env("MEANWHILE_TRUSTED_PROXY", "10.0.0.0/8,127.0.0.1");
    meanwhile.spawn().await.unwrap();
    for nth in 0..10 {
        let forwarded = format!("198.51.100.{nth}, 203.0.113.7, 10.1.2.3");
        assert_eq!(failed_sign_in_status(&meanwhile, nth, &forwarded).await, 401);
    }
    assert_eq!(failed_sign_in_status(&meanwhile, 10, "203.0.113.7").await, 429);
    assert_eq!(failed_sign_in_status(&meanwhile, 11, "203.0.113.8").await, 401);
}

#[tokio::test]
async fn forwarded_address_from_an_untrusted_client_is_ignored() {
    let mut meanwhile = new_server().with_admin();
    meanwhile.spawn().await.unwrap();
    for nth in 0..10 {
        assert_eq!(failed_sign_in_status(&meanwhile, nth, &format!("203.0.113.{nth}")).await, 401);
    }
    assert_eq!(failed_sign_in_status(&meanwhile, 10, "203.0.113.99").await, 429);
}
