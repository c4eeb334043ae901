//! Credentials that AWS does not accept, and permissions that are missing.

use super::*;
use testbed::{HttpFault, HttpFaultProxy};

/// Actions without those about alarms.
const NO_ALARMS: [&str; 2] = ["ec2:DescribeInstances", "ec2:StartInstances"];

#[tokio::test]
async fn a_wrong_secret_pauses_the_work_until_it_is_corrected() {
    let moto = MotoServer::start(CALLS_OF_USER + CALLS_OF_MACHINES).await.unwrap();
    let machine = moto.make_stopped_machines(REGION, "web", 1).await.unwrap().remove(0);
    let key = moto.make_user("worker", &NEEDED_ACTIONS).await.unwrap();
    let wrong = AccessKey { secret: "wrong-secret-of-this-test".into(), ..key.clone() };
    let server = start(new_aws_server(&moto.url(), &[REGION], &wrong)).await;

    let (_, problem) = list_machines(&server).await;
    let words = "AWS does not accept the";
    assert!(problem["detail"].as_str().unwrap().starts_with(words), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(PROFILE), "{problem}");
    let job = server.api.start_instances(&[&machine], "key").await.unwrap().id;
    let detail = wait_for_detail(&server, job).await;
    assert!(detail.starts_with(words) && detail.contains(PROFILE), "{detail}");
    let task = server.api.tasks(job).await.unwrap().remove(0);
    assert_eq!((task.state.as_str(), task.attempt), ("queued", 0), "it costs no attempt");

    write_key(server.folder(), &key);
    wait_for_end(&server, job).await;
    let tasks = server.api.tasks(job).await.unwrap();
    assert!(tasks.iter().all(|task| task.state.as_str() == "succeeded"), "{:?}", results(&tasks));
    for secret in [&wrong.secret, &key.secret] {
        let journal = format!("{:?}", server.api.journal(job).await.unwrap());
        assert!(!journal.contains(secret) && !server.read_log().contains(secret));
    }
}

#[tokio::test]
async fn a_missing_permission_fails_the_item_and_names_the_action() {
    let (_moto, server, machine) = start_with_one_machine(&["ec2:DescribeInstances"]).await;
    let tasks = start_machine(&server, &machine).await;
    let results = results(&tasks);
    assert_eq!((results.len(), results[0].1), (1, "failed"), "{results:?}");
    let words = "The account “ops” may not call ec2:StartInstances: allow this action in IAM";
    assert!(results[0].2.starts_with(words), "{results:?}");

    let (_moto, server, machine) = start_with_one_machine(&NO_ALARMS).await;
    let tasks = start_machine(&server, &machine).await;
    let results = self::results(&tasks);
    assert_eq!((results[0].1, results[1].1), ("succeeded", "failed"), "{results:?}");
    let words = "The account “ops” may not call monitoring:PutMetricAlarm: allow this action";
    assert!(results[1].2.starts_with(words), "{results:?}");
}

#[tokio::test]
async fn an_expired_session_says_how_to_sign_in_again() {
    let moto = MotoServer::start(CALLS_OF_USER + CALLS_OF_MACHINES).await.unwrap();
    let machine = moto.make_stopped_machines(REGION, "web", 1).await.unwrap().remove(0);
    let key = moto.make_user("worker", &NEEDED_ACTIONS).await.unwrap();
    // moto has no sessions that expire.
    let expired_key = key.id.clone();
    let proxy =
        HttpFaultProxy::start(moto.port(), move |request| match request.contains(&expired_key) {
            true => HttpFault::Answer {
                status: 400,
                body: "<Response><Errors><Error><Code>ExpiredToken</Code><Message>The security \
                       token included in the request is expired</Message></Error></Errors>\
                       <RequestID>r</RequestID></Response>"
                    .into(),
            },
            false => HttpFault::None,
        })
        .await
        .unwrap();
    let server = start(new_aws_server(&proxy.url(), &[REGION], &key)).await;
    let job = server.api.start_instances(&[&machine], "key").await.unwrap().id;
    let expected = "The AWS credentials of profile `ops-admin` have expired: run `aws sso login \
                    --profile ops-admin`, or put new ones in their place.";
    assert_eq!(wait_for_detail(&server, job).await, expected);
    let (_, problem) = list_machines(&server).await;
    assert_eq!(problem["detail"], expected);
    assert_eq!(server.api.tasks(job).await.unwrap()[0].state.as_str(), "queued");
}
