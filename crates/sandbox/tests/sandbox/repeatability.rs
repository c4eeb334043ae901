use std::{collections::BTreeMap, time::Duration};

use sandbox::{Options, SAMPLE_CHANNELS, Sandbox};

use crate::client::{product, retry_after};

/// Statuses of all admitted requests by SKU; `None` if the connection was dropped.
type Outcomes = BTreeMap<Box<str>, Vec<Option<u16>>>;

async fn outcomes(seed: u64, skus: impl Iterator<Item = u32>) -> Outcomes {
    let folder = tempfile::tempdir().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let ledger = folder.path().to_path_buf();
    let channels = SAMPLE_CHANNELS.to_vec();
    let options =
        Options { listen, ledger, speed: 5_000.0, seed, faults: true, latency: None, channels };
    let sandbox = Sandbox::start(options).await.unwrap();
    let url = format!("{}/channels/acme/products", sandbox.base_url());
    tls::install_provider();
    let http = reqwest::Client::new();
    for sku in skus {
        loop {
            let request = http.post(&url).json(&product(&format!("SKU-{sku}")));
            let Ok(response) = request.send().await else { break };
            if response.status() != 429 {
                break;
            }
            let wait = retry_after(&response).parse().unwrap();
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }
    let mut outcomes = Outcomes::new();
    let record = sandbox.ledger()["acme"].clone();
    for request in record.requests.into_iter().filter(|it| !it.over_limit && !it.during_cooldown) {
        outcomes.entry(request.sku.unwrap()).or_default().push(request.status);
    }
    outcomes
}

#[tokio::test]
async fn faults_depend_on_the_seed_and_not_on_the_order() {
    let (forwards, backwards, other) =
        tokio::join!(outcomes(1, 0..400), outcomes(1, (0..400).rev()), outcomes(2, 0..400));
    assert_eq!(forwards, backwards);
    assert_ne!(forwards, other);
    let seen = |status| forwards.values().flatten().filter(|it| **it == status).count();
    assert!(seen(Some(500)) > 0, "no 500");
    assert!(seen(None) > 0, "no dropped connection");
    assert!(seen(Some(422)) > 0, "no rejected product");
    assert!(seen(Some(201)) > 350);
}
