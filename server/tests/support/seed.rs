//! What is in a store before its server starts.

use super::Meanwhile;
use contract::{
    TokenId, UserId,
    api::Outcome,
    command::ProductUpload,
    product::{Price, Product},
    state::JobKind,
};
use engine::{
    clock::System,
    store::{Accept, Claim, Ending, Finish, NewTask, Store, Turns},
};
use sea_orm::{ConnectionTrait, Database, Statement};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;

fn url(meanwhile: &Meanwhile) -> String {
    format!("sqlite://{}", meanwhile.folder.path().join("meanwhile.sqlite").display())
}

pub async fn store(meanwhile: &Meanwhile) -> Store {
    store_at(&url(meanwhile)).await
}

pub async fn store_at(url: &str) -> Store {
    Store::open(url, Arc::new(System), 1.0).await.unwrap()
}

/// Makes an account that has no password.
pub async fn user(meanwhile: &Meanwhile, email: &str) -> UserId {
    user_at(&url(meanwhile), email).await
}

pub async fn user_at(url: &str, email: &str) -> UserId {
    let user = UserId(Uuid::now_v7());
    let db = Database::connect(url).await.unwrap();
    let insert = "INSERT INTO users (id, email, role, created_at) VALUES ($1, $2, 'user', 0)";
    let values = [user.0.into(), email.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), insert, values))
        .await
        .unwrap();
    user
}

pub fn cookie(token: &str) -> String {
    format!("meanwhile_session={token}")
}

/// Makes a session of that token.
pub async fn sign_in(store: &Store, user: UserId, token: &str) {
    let expires_at = store.now_ms() + 3_600_000;
    store.add_session(&hex::encode(Sha256::digest(token)), user, expires_at).await.unwrap();
}

/// Makes a program's token of that secret, named after it.
pub async fn token(store: &Store, user: UserId, secret: &str) -> TokenId {
    store.add_token(user, secret, &hex::encode(Sha256::digest(secret))).await.unwrap().id
}

/// Two products, `{name}-0` and `{name}-1`.
pub fn upload(user: UserId, name: &str, channels: &[&str]) -> Accept {
    let task = |(row, channel): (u32, &&str)| {
        let sku = format!("{name}-{row}");
        let product = Product {
            sku: sku.clone(),
            title: sku.clone(),
            price: Price(1990),
            description: None,
            vendor: None,
            image: None,
            variants: Vec::new(),
        };
        let channel = (*channel).to_owned();
        let command = ProductUpload { channel: channel.clone(), product };
        NewTask::new(&command, Some(channel), sku.clone(), sku, row).unwrap()
    };
    Accept {
        actor: user.into(),
        kind: JobKind::ProductUploads,
        title: format!("{name}.csv"),
        channels: channels.iter().map(|id| (*id).to_owned()).collect(),
        tasks: (0..2).flat_map(|row| channels.iter().map(move |id| (row, id))).map(task).collect(),
        idempotency: None,
    }
}

/// Ends two of what is queued for Acme: one fails, one needs a person, both
/// with these words.
pub async fn end(store: &Store, words: &str) {
    for ending in [|outcome| Ending::Failed { outcome }, |outcome| Ending::NeedsPerson { outcome }]
    {
        let due = store
            .due("meanwhile.q.product.upload.acme.v1", 1, &Turns::default())
            .await
            .unwrap()
            .tasks;
        let (task, fence) = (due[0].task, due[0].fence);
        let Claim::Claimed(claimed) = store.claim(task, fence, "w").await.unwrap() else {
            panic!("not claimed");
        };
        let outcome = Outcome { code: "x".into(), message: words.into(), reference: None };
        let finish =
            Finish { task, fence: claimed.fence, worker: "w".into(), ending: ending(outcome) };
        store.finish(vec![finish]).await.remove(0).unwrap();
    }
}
