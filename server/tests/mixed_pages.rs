//! Pages of ten people, rendered at the same time.
//!
//! The same as `bench mixed-pages`, with fewer pages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::{StatusCode, header};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use support::{
    Meanwhile,
    seed::{self, cookie, sign_in, upload},
};
use tokio::task::JoinSet;

const PEOPLE: usize = 10;
const PAGES: usize = 1_500;
const AT_ONCE: usize = 64;

struct Person {
    mark: String,
    unread: usize,
    job: String,
}

/// Everyone has a mark in their address and their jobs' titles, and another
/// number of unread notifications.
async fn people(meanwhile: &Meanwhile) -> Vec<Person> {
    let store = seed::store(meanwhile).await;
    store.add_first_account("ada@example.com", "hash").await.unwrap();
    let mut people = Vec::new();
    for number in 1..=PEOPLE {
        let mark = format!("mark{number:02}x");
        let user = seed::user(meanwhile, &format!("{mark}@example.com")).await;
        sign_in(&store, user, &mark).await;
        let mut job = String::new();
        for _ in 0..number {
            job = store.accept(upload(user, &mark, &["acme"])).await.unwrap().job.id.to_string();
            // One of its two tasks fails, one needs a person.
            seed::end(&store, &mark).await;
        }
        let unread = store.inbox(user, 100).await.unwrap().unread as usize;
        people.push(Person { mark, unread, job });
    }
    let numbers: BTreeSet<_> = people.iter().map(|person| person.unread).collect();
    assert_eq!(numbers.len(), PEOPLE, "two people have the same number of unread notifications");
    people
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_shows_a_mark_or_a_number_of_anyone_else() {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    let people = Arc::new(people(&meanwhile).await);
    meanwhile.spawn(false).await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (people, next) = (Arc::clone(&people), Arc::clone(&next));
        let (client, base) = (meanwhile.client.clone(), meanwhile.url(""));
        readers.spawn(async move {
            loop {
                let page = next.fetch_add(1, Ordering::Relaxed);
                if page >= PAGES {
                    return;
                }
                let person = &people[page % PEOPLE];
                let Person { mark, unread, job } = person;
                let paths = [
                    "/".to_owned(),
                    "/jobs".to_owned(),
                    format!("/jobs/{job}"),
                    format!("/jobs/{job}?view=timeline"),
                    format!("/jobs/{job}?view=flow"),
                    "/inbox".to_owned(),
                    format!("/search?q={mark}"),
                    "/machines".to_owned(),
                    "/account".to_owned(),
                ];
                let path = &paths[page / PEOPLE % paths.len()];
                let request = client.get(format!("{base}{path}"));
                let answer = request.header(header::COOKIE, cookie(mark)).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{path} of {mark}");
                let text = answer.text().await.unwrap();
                let foreign = |other: &&Person| other.mark != *mark && text.contains(&other.mark);
                let foreign = people.iter().find(foreign).map(|other| &other.mark);
                assert_eq!(foreign, None, "in {path} of {mark}");
                let (_, title) = text.split_once("<title>").unwrap();
                let (title, _) = title.split_once("</title>").unwrap();
                let expected = format!("({unread}) ");
                assert!(title.starts_with(&expected), "{path} of {mark}: {title:?}, not {unread}");
                let (_, bell) = text.split_once("data-testid=\"bell-count\"").unwrap();
                let (bell, _) = bell.split_once("</span>").unwrap();
                assert!(bell.contains(&format!(">{unread}")), "{path} of {mark}: {bell}");
            }
        });
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
    assert!(!meanwhile.log().contains("panicked"));
}
