//! Faults that AWS documents and moto does not have.

use super::*;
use parking_lot::Mutex;
use std::collections::VecDeque;
use testbed::{HttpFault, HttpFaultProxy};

/// Returns an answer of EC2 as its documentation shows it.
fn ec2_error(status: u16, code: &str, message: &str) -> HttpFault {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors>\
         <RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>"
    );
    HttpFault::Answer { status, body }
}

/// Returns an answer of CloudWatch as its documentation shows it.
fn cloudwatch_error(status: u16, code: &str, message: &str) -> HttpFault {
    let body = format!(
        "<ErrorResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>5e9a4b4e-0f5a-11df-9e2d-example</RequestId></ErrorResponse>"
    );
    HttpFault::Answer { status, body }
}

/// Starts one machine through a proxy with these faults of each action, one for each call in
/// order, and returns the tasks and the actions that were called.
async fn start_with_faults(
    faults: Vec<(&'static str, Vec<HttpFault>)>,
) -> (MotoServer, Vec<Task>, Vec<String>) {
    let moto = MotoServer::start(CALLS_OF_USER + CALLS_OF_MACHINES).await.unwrap();
    let machine = moto.make_stopped_machines(REGION, "web", 1).await.unwrap().remove(0);
    let key = moto.make_user("worker", &NEEDED_ACTIONS).await.unwrap();
    let queues: Vec<_> = faults
        .into_iter()
        .map(|(action, faults)| (format!("Action={action}&"), Mutex::new(VecDeque::from(faults))))
        .collect();
    let proxy = HttpFaultProxy::start(moto.port(), move |request| {
        let faults = queues.iter().find(|(action, _)| request.contains(action));
        faults.and_then(|(_, faults)| faults.lock().pop_front()).unwrap_or(HttpFault::None)
    })
    .await
    .unwrap();
    let server = start(new_aws_server(&proxy.url(), &[REGION], &key)).await;
    let tasks = start_machine(&server, &machine).await;
    let action = |body: &String| {
        let rest = body.split_once("Action=")?.1;
        Some(rest.split('&').next()?.to_owned())
    };
    let actions = proxy.requests().iter().filter_map(action).collect();
    (moto, tasks, actions)
}

fn assert_succeeded(tasks: &[Task]) {
    let results = results(tasks);
    assert_eq!(results.len(), 2, "{results:?}");
    assert!(results.iter().all(|(_, state, _)| *state == "succeeded"), "{results:?}");
}

#[tokio::test]
async fn throttling_pauses_the_action_and_costs_no_attempt() {
    let limit = || ec2_error(503, "RequestLimitExceeded", "Request limit exceeded.");
    let rate = || cloudwatch_error(400, "Throttling", "Rate exceeded");
    let (_moto, tasks, actions) = start_with_faults(vec![
        ("DescribeInstances", vec![limit(), limit()]),
        ("StartInstances", vec![limit()]),
        ("PutMetricAlarm", vec![rate()]),
    ])
    .await;
    assert_succeeded(&tasks);
    assert_eq!(tasks.iter().map(|task| task.attempt).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(actions.iter().filter(|action| *action == "StartInstances").count(), 2);
}

#[tokio::test]
async fn a_machine_without_capacity_or_still_unknown_is_tried_again() {
    let capacity = ec2_error(
        500,
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient t3.micro capacity in the Availability Zone you \
         requested (eu-west-1a).",
    );
    let unknown =
        ec2_error(400, "InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist");
    let (_moto, tasks, actions) =
        start_with_faults(vec![("StartInstances", vec![capacity, unknown])]).await;
    assert_succeeded(&tasks);
    assert_eq!(tasks[0].attempt, 3);
    let looked_first = actions.windows(2).all(|pair| pair != ["StartInstances", "StartInstances"]);
    assert!(looked_first, "each start comes after a look: {actions:?}");
}

#[tokio::test]
async fn a_machine_that_is_pending_is_waited_for() {
    let pending = || HttpFault::ReplaceInAnswer {
        from: "<name>running</name>".into(),
        to: "<name>pending</name>".into(),
    };
    let (_moto, tasks, actions) =
        start_with_faults(vec![("DescribeInstances", vec![HttpFault::None, pending(), pending()])])
            .await;
    assert_succeeded(&tasks);
    let expected = [
        "DescribeInstances",
        "StartInstances",
        "DescribeInstances",
        "DescribeInstances",
        "DescribeInstances",
        "PutMetricAlarm",
    ];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn lost_answers_are_looked_up_and_nothing_is_started_twice() {
    let (moto, tasks, actions) = start_with_faults(vec![
        ("StartInstances", vec![HttpFault::LoseAnswer]),
        ("PutMetricAlarm", vec![HttpFault::LoseAnswer]),
    ])
    .await;
    assert_succeeded(&tasks);
    let starts = actions.iter().filter(|action| *action == "StartInstances").count();
    assert_eq!(starts, 1, "{actions:?}");
    assert_eq!(moto.alarm_names().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_used_up_quota_fails_the_item_and_says_to_raise_it() {
    let quota = ec2_error(
        400,
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows.",
    );
    let (_moto, tasks, _) = start_with_faults(vec![("StartInstances", vec![quota])]).await;
    let results = results(&tasks);
    assert_eq!((results.len(), results[0].1), (1, "failed"), "{results:?}");
    assert!(results[0].2.contains("raise the quota"), "{results:?}");
}
