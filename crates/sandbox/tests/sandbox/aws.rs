use crate::client::TestClient;

const WEB_1: &str = "i-0a1b2c3d4e5f60001";
const WEB_2: &str = "i-0a1b2c3d4e5f60002";
const NO_CAPACITY: &str = "i-0a1b2c3d4e5f60007";
const NOT_ALLOWED: &str = "i-0a1b2c3d4e5f60008";

impl TestClient {
    async fn ec2(&self, action: &str, ids: &[&str]) -> (u16, String) {
        let names: Vec<_> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let ids = names.iter().map(String::as_str).zip(ids.iter().copied());
        let form: Vec<_> =
            [("Action", action), ("Version", "2016-11-15")].into_iter().chain(ids).collect();
        self.query("ec2", &form).await
    }

    async fn cloudwatch(&self, action: &str, rest: &[(&str, &str)]) -> (u16, String) {
        let mut form = vec![("Action", action), ("Version", "2010-08-01")];
        form.extend(rest);
        self.query("cloudwatch", &form).await
    }

    async fn query(&self, service: &str, form: &[(&str, &str)]) -> (u16, String) {
        let url = format!("{}/{service}", self.sandbox.base_url());
        let response = self.http.post(url).form(form).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn state(&self, id: &str) -> String {
        let (status, body) = self.ec2("DescribeInstances", &[id]).await;
        assert_eq!(status, 200, "{body}");
        between(&between(&body, "<instanceState>", "</instanceState>"), "<name>", "</name>")
    }

    /// Polls until the state differs from `current`, and returns the new one.
    async fn wait_while_state(&self, id: &str, current: &str) -> String {
        let mut state = self.state(id).await;
        while state == current {
            state = self.state(id).await;
        }
        state
    }
}

fn between(text: &str, from: &str, to: &str) -> String {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} in {text}")).0.to_owned()
}

fn error_code(body: &str) -> String {
    assert!(body.contains("<Response><Errors><Error><Code>"), "{body}");
    assert!(body.contains("</Error></Errors><RequestID>"), "{body}");
    between(body, "<Code>", "</Code>")
}

#[tokio::test]
async fn eight_machines_are_described_and_one_is_running() {
    let client = TestClient::start(100.0).await;
    let (status, body) = client.ec2("DescribeInstances", &[]).await;
    assert_eq!(status, 200);
    assert!(body.contains(
        r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">"#
    ));
    assert_eq!(body.matches("<instanceId>").count(), 8);
    assert_eq!(body.matches("<name>running</name>").count(), 1);
    assert_eq!(body.matches("<code>80</code><name>stopped</name>").count(), 7);
    assert!(body.contains("<item><key>Name</key><value>web-1</value></item>"));
    assert!(body.contains("<availabilityZone>eu-central-1a</availabilityZone>"));
    assert!(body.contains("<launchTime>2026-"), "{body}");
    assert_eq!(client.state(WEB_1).await, "running");
}

#[tokio::test]
async fn machines_are_filtered_by_id_and_unknown_ids_are_merely_absent() {
    let client = TestClient::start(100.0).await;
    let describe = async |params: &[(&str, &str)]| {
        let action = [("Action", "DescribeInstances"), ("Version", "2016-11-15")];
        client.query("ec2", &[&action[..], params].concat()).await
    };
    let filter = &[
        ("MaxResults", "1000"),
        ("Filter.1.Name", "instance-id"),
        ("Filter.1.Value.1", WEB_2),
        ("Filter.1.Value.2", "i-0123456789abcdef0"),
    ];
    let (status, body) = describe(filter).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body.matches("<instanceId>").count(), 1);
    assert!(body.contains(WEB_2));
    let (_, body) = describe(&[("MaxResults", "5"), ("InstanceId.1", WEB_2)]).await;
    assert_eq!(error_code(&body), "InvalidParameterCombination");
    let (_, body) = describe(&[("Filter.1.Name", "tag:Name")]).await;
    assert_eq!(error_code(&body), "UnsupportedOperation");
}

#[tokio::test]
async fn machine_goes_from_stopped_through_pending_to_running() {
    let client = TestClient::start(50.0).await;
    assert_eq!(client.state(WEB_2).await, "stopped");
    let (status, body) = client.ec2("StartInstances", &[WEB_2]).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("<currentState><code>0</code><name>pending</name></currentState>"));
    assert!(body.contains("<previousState><code>80</code><name>stopped</name></previousState>"));
    let (status, _) = client.ec2("StartInstances", &[WEB_2]).await;
    assert_eq!(status, 200, "starting a pending machine does no harm");
    let effects = client.service_record("ec2").effects;
    let created: Vec<_> = effects.iter().map(|it| (&*it.sku, it.created)).collect();
    assert_eq!(created, [(WEB_2, true), (WEB_2, false)]);
    assert_eq!(client.wait_while_state(WEB_2, "pending").await, "running");

    let (status, body) = client.ec2("StopInstances", &[WEB_2]).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("<name>stopping</name>"));
    assert_eq!(client.wait_while_state(WEB_2, "stopping").await, "stopped");
}

#[tokio::test]
async fn running_machines_survive_a_restart() {
    let client = TestClient::start(50.0).await;
    client.ec2("StartInstances", &[WEB_2]).await;
    let client = client.restart(5_000.0).await;
    assert_eq!(client.wait_while_state(WEB_2, "pending").await, "running");
}

#[tokio::test]
async fn errors_have_the_codes_of_aws() {
    let client = TestClient::start(100.0).await;
    let (status, body) = client.ec2("StartInstances", &["i-0123456789abcdef0"]).await;
    assert_eq!((status, error_code(&body).as_str()), (400, "InvalidInstanceID.NotFound"));
    let (status, body) = client.ec2("StartInstances", &[WEB_2, NOT_ALLOWED]).await;
    assert_eq!((status, error_code(&body).as_str()), (403, "UnauthorizedOperation"));
    assert!(
        client.service_record("ec2").effects.is_empty(),
        "one that can't start stops all of them"
    );
    let (status, body) = client.ec2("StartInstances", &[]).await;
    assert_eq!((status, error_code(&body).as_str()), (400, "MissingParameter"));
    let (status, body) = client.ec2("TerminateInstances", &[WEB_2]).await;
    assert_eq!((status, error_code(&body).as_str()), (400, "InvalidAction"));
}

#[tokio::test]
async fn start_fails_for_lack_of_capacity_only_with_faults_on() {
    let client = TestClient::start(100.0).await;
    client.sandbox.set_faults_enabled(true);
    for _ in 0..2 {
        let (status, body) = client.ec2("StartInstances", &[NO_CAPACITY]).await;
        assert_eq!((status, error_code(&body).as_str()), (500, "InsufficientInstanceCapacity"));
    }
    assert_eq!(client.ec2("StartInstances", &[NO_CAPACITY]).await.0, 200);

    let client = TestClient::start(100.0).await;
    assert_eq!(client.ec2("StartInstances", &[NO_CAPACITY]).await.0, 200);
}

#[tokio::test]
async fn ec2_and_cloudwatch_have_limits() {
    let client = TestClient::start(0.001).await;
    let url = format!("{}/ec2", client.sandbox.base_url());
    for n in 0..12 {
        // A body that is not a form gets its response without latency.
        let response = client.http.post(&url).body("x").send().await.unwrap();
        let expected = if n < 10 { 400 } else { 503 };
        assert_eq!(response.status(), expected, "request {n}");
        if n == 11 {
            assert_eq!(error_code(&response.text().await.unwrap()), "RequestLimitExceeded");
        }
    }
    let over = client.service_record("ec2").requests.iter().filter(|it| it.over_limit).count();
    assert_eq!(over, 2);
}

#[tokio::test]
async fn alarm_is_created_once_and_survives_a_restart() {
    let client = TestClient::start(100.0).await;
    let alarm = [
        ("AlarmName", "cpu <web-2>"),
        ("MetricName", "CPUUtilization"),
        ("Namespace", "AWS/EC2"),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("EvaluationPeriods", "2"),
        ("Threshold", "80"),
        ("Dimensions.member.1.Name", "InstanceId"),
        ("Dimensions.member.1.Value", WEB_2),
    ];
    for _ in 0..2 {
        let (status, body) = client.cloudwatch("PutMetricAlarm", &alarm).await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("<ResponseMetadata><RequestId>"));
    }
    let effects = client.service_record("cloudwatch").effects;
    let created: Vec<_> = effects.iter().map(|it| (&*it.sku, it.created)).collect();
    assert_eq!(created, [(WEB_2, true), (WEB_2, false)]);
    assert_eq!(effects[0].key.as_deref(), Some("cpu <web-2>"));

    let client = client.restart(100.0).await;
    let named = |name| [("AlarmNames.member.1", name)];
    let (_, body) = client.cloudwatch("DescribeAlarms", &named("cpu <web-2>")).await;
    assert!(body.contains("<AlarmName>cpu &lt;web-2&gt;</AlarmName>"), "{body}");
    assert!(body.contains(&format!("<Name>InstanceId</Name><Value>{WEB_2}</Value>")));
    let (_, body) = client.cloudwatch("DescribeAlarms", &named("other")).await;
    assert!(!body.contains("<AlarmName>"));
    let (status, body) = client.cloudwatch("PutMetricAlarm", &[("AlarmName", "x")]).await;
    assert_eq!(status, 400);
    assert!(body.contains("<ErrorResponse") && body.contains("<Code>MissingParameter</Code>"));
}
