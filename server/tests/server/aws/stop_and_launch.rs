//! Machines that are stopped, and new ones from a launch template.

use super::*;
use crate::support::{get_page, page_text, post_form};
use parking_lot::Mutex;
use reqwest::header::LOCATION;
use serde_json::json;
use testbed::{HttpFault, HttpFaultProxy};

const ACTIONS: [&str; 8] = [
    "ec2:DescribeInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:DescribeLaunchTemplates",
    "ec2:RunInstances",
    "ec2:CreateTags",
    "monitoring:PutMetricAlarm",
    "monitoring:DescribeAlarms",
];
const CALLS_OF_TEMPLATE: u32 = 2;

/// Posts a launch, and returns the tasks of its job once it has ended.
async fn launch(server: &ServerProcess, path: &str, body: Value) -> Vec<Task> {
    let answer = server.api.post(path).json(&body).send().await.unwrap();
    let (status, launched) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 202, "{launched}");
    let job = serde_json::from_value(launched["job"]["id"].clone()).unwrap();
    wait_for_end(server, job).await;
    server.api.tasks(job).await.unwrap()
}

#[tokio::test]
async fn a_machine_is_stopped_once() {
    let (moto, server, machine) = start_with_one_machine(&ACTIONS).await;
    start_machine(&server, &machine).await;
    for message in ["The machine is stopped.", "The machine was stopped already."] {
        let body = json!({ "instance_ids": [machine], "account": "ops", "region": REGION });
        let tasks = launch(&server, "/api/v1/jobs/ec2-stops", body).await;
        assert_eq!(results(&tasks), [("ec2.stop", "succeeded", message)]);
    }
    assert_eq!(moto.machines().await.unwrap()[0].state, "stopped");
}

#[tokio::test]
async fn machines_are_launched_from_the_version_that_was_accepted_and_never_twice() {
    let moto = MotoServer::start(CALLS_OF_USER + CALLS_OF_TEMPLATE).await.unwrap();
    let template = moto.make_launch_template(REGION, "web").await.unwrap();
    let key = moto.make_user("worker", &ACTIONS).await.unwrap();
    // moto knows no client tokens: it would launch a second machine.
    let launches = Mutex::new(0);
    let proxy = HttpFaultProxy::start(moto.port(), move |request| {
        if !request.contains("Action=RunInstances&") {
            return HttpFault::None;
        }
        *launches.lock() += 1;
        match *launches.lock() {
            1 => HttpFault::LoseAnswer,
            2 => HttpFault::RepeatLostAnswer,
            _ => HttpFault::None,
        }
    })
    .await
    .unwrap();
    let server = start(new_aws_server(&proxy.url(), &[REGION], &key)).await;

    let listed = server.api.get_json("/api/v1/launch-templates").await.unwrap();
    let expected = json!([{
        "id": template, "name": "web", "default_version": 1, "latest_version": 2,
        "account": "ops", "region": REGION,
    }]);
    assert_eq!(listed["items"], expected);

    let body = json!({ "template": "web", "version": "latest", "name": "render" });
    let tasks = launch(&server, "/api/v1/jobs/ec2-launches", body).await;
    let expected = [
        ("ec2.launch", "succeeded", "The machine is running."),
        ("alarm.create", "succeeded", "The alarm watches the machine."),
    ];
    assert_eq!(results(&tasks), expected);
    let sent: Vec<_> =
        proxy.requests().into_iter().filter(|it| it.contains("RunInstances")).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0], sent[1], "the same call, with the same client token");
    assert!(sent[0].contains(&format!("ClientToken={}", tasks[0].id)), "{}", sent[0]);
    assert!(sent[0].contains("LaunchTemplate.Version=2"), "{}", sent[0]);
    let machines = moto.machines().await.unwrap();
    assert_eq!(machines.len(), 1, "{machines:?}");
    assert_eq!(
        (machines[0].state.as_str(), machines[0].instance_type.as_str()),
        ("running", "t3.small")
    );
    let alarms = moto.alarm_names().await.unwrap();
    assert_eq!(alarms, [format!("status-render-{}", machines[0].id)].into());

    wait_for_end(&server, launch_by_form(&server, &template).await).await;
    assert_eq!(moto.machines().await.unwrap().len(), 3);

    let body = json!({ "template": template, "count": 3, "name": "batch" });
    let tasks = launch(&server, "/api/v1/jobs/ec2-launches", body).await;
    assert_eq!(tasks.len(), 6, "{:?}", results(&tasks));
    assert!(tasks.iter().all(|task| task.state.as_str() == "succeeded"), "{:?}", results(&tasks));
    assert_eq!(moto.machines().await.unwrap().len(), 6);
}

/// Launches two machines by the form of the page, after a mistake, and returns the job.
async fn launch_by_form(server: &ServerProcess, template: &str) -> JobId {
    let page = get_page(server, "/machines?launch=1").await;
    let option = format!("value=\"{template}\">web · version 1, latest 2 · ops · {REGION}<");
    assert!(page.contains(&option), "{page}");
    let form = "/launch/machines?launch=1";
    let fields = |count: &'static str| {
        [
            ("action", "launch"),
            ("template", template),
            ("version", "latest"),
            ("count", count),
            ("name", "edge"),
        ]
    };
    let refused = post_form(server, form, &fields("501")).await;
    assert_eq!(refused.status().as_u16(), 422);
    let page = page_text(refused).await;
    assert!(page.contains("A launch has 1 to 500 machines."), "{page}");
    assert!(page.contains("value=\"501\"") && page.contains("value=\"edge\""), "{page}");
    let accepted = post_form(server, form, &fields("2")).await;
    let location = accepted.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
    assert_eq!(accepted.status().as_u16(), 303, "{}", page_text(accepted).await);
    let location = location.unwrap();
    let id = location.strip_prefix("/jobs/").unwrap().split('?').next().unwrap();
    id.parse().unwrap()
}

#[tokio::test]
async fn a_launch_that_names_no_template_is_refused() {
    let (_moto, server, _) = start_with_one_machine(&ACTIONS).await;
    for (body, words) in [
        (json!({ "template": "web" }), "No configured account has the launch template web."),
        (json!({ "template": "web", "count": 0 }), "A launch has 1 to 500 machines."),
        (json!({ "template": "web", "version": "newest" }), "`version` must be a number"),
        (
            json!({ "template": "web", "account": "shop", "region": "eu-west-9" }),
            "No account “shop” with the region “eu-west-9” is configured.",
        ),
    ] {
        let answer = server.api.post("/api/v1/jobs/ec2-launches").json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 422, "{body}");
        let problem: Value = answer.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(words), "{body}: {detail}");
    }
}
