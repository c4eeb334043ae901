//! Choices about files with the same header, which all users share.

use crate::fixture::StoreFixture;
use contract::api::Role;
use engine::store::{Actor, ColumnChoice, Credential, Error};

pub async fn a_choice_is_shared_and_keeps_who_made_it_first(fixture: StoreFixture) {
    let (ada, bob) = (fixture.user, fixture.add_user("bob@example.com", Role::User).await);
    let (store, other) = (&fixture.store.column_choices, &fixture.other_store.column_choices);
    assert_eq!(store.find("header").await.unwrap(), None);
    let first_at = fixture.store.database.now_ms();
    store.store(ada, "header", "sku:Kürzel").await.unwrap();
    fixture.clock.advance(1_000);
    store.store(bob, "header", "sku:Kürzel").await.unwrap();
    store.store(bob, "another", "sku:VK").await.unwrap();
    let choice = |choice: &str, by: &str, chosen_at| ColumnChoice {
        choice: choice.into(),
        chosen_by: by.into(),
        chosen_at,
    };
    let found = other.find("header").await.unwrap().unwrap();
    assert_eq!(found, choice("sku:Kürzel", "ada@example.com", first_at));

    store.store(bob, "header", "sku:Artikel").await.unwrap();
    let found = other.find("header").await.unwrap().unwrap();
    assert_eq!(found, choice("sku:Artikel", "bob@example.com", first_at + 1_000));

    let signed_out = Actor { user: ada, credential: Credential::Session("ended".into()) };
    let refused = store.store(signed_out.clone(), "header", "sku:EK").await.unwrap_err();
    assert!(matches!(refused, Error::SignedOut), "{refused}");
    assert_eq!(store.find("header").await.unwrap().unwrap().choice, "sku:Artikel");

    let refused = store.delete(signed_out, "header").await.unwrap_err();
    assert!(matches!(refused, Error::SignedOut), "{refused}");
    assert!(store.find("header").await.unwrap().is_some());
    store.delete(ada, "header").await.unwrap();
    assert_eq!(other.find("header").await.unwrap(), None);
    assert_eq!(other.find("another").await.unwrap().unwrap().choice, "sku:VK");
    store.delete(ada, "header").await.unwrap();
}
