//! Pages of ten users that are rendered at the same time show only their own
//! user's data.
//!
//! A short version of `bench page-isolation`.

use crate::{
    seed::{self, create_session, new_upload_job, session_cookie},
    support::new_server,
};
use reqwest::{StatusCode, header};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use testbed::ServerProcess;
use tokio::task::JoinSet;

const USER_COUNT: usize = 10;
const PAGE_COUNT: usize = 1_500;
const CONCURRENCY: usize = 64;

struct TestUser {
    marker: String,
    unread_count: usize,
    job_id: String,
}

/// Creates users who each have a unique marker in their email address and job
/// titles, and a unique number of unread notifications.
async fn create_users(meanwhile: &ServerProcess) -> Vec<TestUser> {
    let store = seed::open_store(meanwhile).await;
    store.accounts.add_first_user("ada@example.com", "hash").await.unwrap();
    let mut users = Vec::new();
    for number in 1..=USER_COUNT {
        let marker = format!("mark{number:02}x");
        let user = seed::create_user(meanwhile, &format!("{marker}@example.com")).await;
        create_session(&store, user, &marker).await;
        let mut job_id = String::new();
        for _ in 0..number {
            let job =
                store.tasks.accept(new_upload_job(user, &marker, &["acme"])).await.unwrap().job;
            job_id = job.id.to_string();
            // One of its two tasks fails, the other needs review.
            seed::finish_two_tasks(&store, &marker).await;
        }
        let unread_count = store.journal.inbox(user, 100).await.unwrap().unread as usize;
        users.push(TestUser { marker, unread_count, job_id });
    }
    let counts: BTreeSet<_> = users.iter().map(|user| user.unread_count).collect();
    assert_eq!(counts.len(), USER_COUNT, "two users have the same number of unread notifications");
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_no_data_of_other_users() {
    let mut meanwhile = new_server();
    let users = Arc::new(create_users(&meanwhile).await);
    meanwhile.spawn().await.unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (users, next) = (Arc::clone(&users), Arc::clone(&next));
        let (client, base) = (meanwhile.api.client.clone(), meanwhile.api.url(""));
        readers.spawn(async move {
            loop {
                let page = next.fetch_add(1, Ordering::Relaxed);
                if page >= PAGE_COUNT {
                    return;
                }
                let TestUser { marker, unread_count, job_id } = &users[page % USER_COUNT];
                let paths = [
                    "/".to_owned(),
                    "/jobs".to_owned(),
                    format!("/jobs/{job_id}"),
                    format!("/jobs/{job_id}?view=timeline"),
                    format!("/jobs/{job_id}?view=flow"),
                    "/inbox".to_owned(),
                    format!("/search?q={marker}"),
                    "/machines".to_owned(),
                    "/account".to_owned(),
                ];
                let path = &paths[page / USER_COUNT % paths.len()];
                let request = client.get(format!("{base}{path}"));
                let answer =
                    request.header(header::COOKIE, session_cookie(marker)).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{path} of {marker}");
                let text = answer.text().await.unwrap();
                let foreign =
                    |other: &&TestUser| other.marker != *marker && text.contains(&other.marker);
                let foreign = users.iter().find(foreign).map(|other| &other.marker);
                assert_eq!(foreign, None, "in {path} of {marker}");
                let (_, title) = text.split_once("<title>").unwrap();
                let (title, _) = title.split_once("</title>").unwrap();
                let expected = format!("({unread_count}) ");
                assert!(
                    title.starts_with(&expected),
                    "{path} of {marker}: {title:?}, not {unread_count}"
                );
                let (_, badge) = text.split_once("data-testid=\"unread-count\"").unwrap();
                let (badge, _) = badge.split_once("</span>").unwrap();
                assert!(badge.contains(&format!(">{unread_count}")), "{path} of {marker}: {badge}");
            }
        });
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
    assert!(!meanwhile.read_log().contains("panicked"));
}
