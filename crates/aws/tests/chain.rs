//! AWS's chain of credentials and settings, with real files and services that this test plays.
//! Environment variables belong to a process, so each case loads in a process of its own: this
//! test binary, which runs `load_in_this_process` alone.
#![allow(clippy::unwrap_used)]

use aws::{
    Account, AccountOptions,
    credentials::{ChainLoader, LoadCredentials},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

const PROFILE: &str = "TEST_PROFILE";
const LOAD: &str = "TEST_LOAD";
const FAKE_KEY: &str = "AKIAFROMSERVICE";

/// Not a test of its own: loads in the environment that a case has made, and prints the result.
#[tokio::test]
async fn load_in_this_process() {
    let Ok(what) = std::env::var(LOAD) else { return };
    let profile = std::env::var(PROFILE).ok();
    tls::install_provider();
    let http_client =
        reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap();
    let result = if what == "settings" {
        let options = AccountOptions { name: "ops".into(), profile, regions: Vec::new() };
        match Account::load(options, http_client).await {
            Ok(account) => format!("{:?}", account.clients()),
            Err(error) => error.to_string(),
        }
    } else {
        let region = "eu-west-1".into();
        let loader = ChainLoader { account: "ops".into(), profile, region, http_client };
        match loader.load().await {
            Ok(credentials) => credentials.access_key_id().to_owned(),
            Err(error) => format!("{}: {error}", error.code()),
        }
    };
    println!("RESULT {result}");
}

/// Home folder of a user, and the environment of the process that loads.
struct Case {
    home: TempDir,
    env: Vec<(&'static str, String)>,
}

impl Case {
    fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".aws/sso/cache")).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        let env = vec![
            ("HOME", home.path().display().to_string()),
            // There is no instance here, and the test would wait for it.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        Self { home, env }
    }

    fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    fn run(&self, what: &str) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "load_in_this_process", "--nocapture"])
            .env_clear()
            .env(LOAD, what)
            .envs(self.env.iter().map(|(name, value)| (*name, value.as_str())))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The test harness prints the beginning of the line.
        let result = text.lines().find_map(|line| line.split_once("RESULT "));
        result.map(|(_, result)| result.to_owned()).unwrap_or_else(|| panic!("{output:?}"))
    }

    fn credentials(&self) -> String {
        self.run("credentials")
    }
}

/// Starts a service that answers every request in the same way, and returns its URL.
fn start_service(status: u16, content_type: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The requests are small, and the answer does not depend on them.
            let _ = stream.read(&mut [0; 16_384]);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Status\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

/// Returns the answer of STS to one of its actions.
fn sts_answer(action: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s\
         </Arn></AssumedRoleUser><Credentials><AccessKeyId>{FAKE_KEY}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{action}Result>\
         </{action}Response>"
    )
}

const SSO_CONFIG: &str = "[profile ops]\nsso_session = team\nsso_account_id = 123456789012\n\
    sso_role_name = Admin\nregion = eu-west-1\n[sso-session team]\n\
    sso_start_url = https://team.awsapps.com/start\nsso_region = eu-west-1\n";

/// Name of the file of the token of the session `team`: the SHA-1 of its name.
const SSO_TOKEN_FILE: &str = ".aws/sso/cache/d25187dc137f35c88bc80ec8c3ffbdb17b5eb873.json";

fn write_sso_token(home: &Path, expires_at: &str) {
    let token = format!("{{\"accessToken\":\"a-token\",\"expiresAt\":\"{expires_at}\"}}");
    std::fs::write(home.join(SSO_TOKEN_FILE), token).unwrap();
}

#[test]
fn keys_come_from_the_environment_or_from_a_profile() {
    let config = "[profile ops]\naws_access_key_id = AKIAOPS\naws_secret_access_key = s\n";
    let keys = |case: Case| {
        case.env("AWS_ACCESS_KEY_ID", "AKIAENV").env("AWS_SECRET_ACCESS_KEY", "s").credentials()
    };
    assert_eq!(keys(Case::new("")), "AKIAENV");
    assert_eq!(Case::new(config).env("AWS_PROFILE", "ops").credentials(), "AKIAOPS");
    // As with `aws --profile`, the profile that the account names comes first.
    assert_eq!(keys(Case::new(config).env(PROFILE, "ops")), "AKIAOPS");
}

#[test]
fn a_role_is_assumed_with_the_keys_of_another_profile() {
    let url = start_service(200, "text/xml", sts_answer("AssumeRole"));
    let config = "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n\
        [profile ops]\nrole_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = base\n";
    let case = Case::new(config).env(PROFILE, "ops").env("AWS_ENDPOINT_URL_STS", url);
    assert_eq!(case.credentials(), FAKE_KEY);
}

#[test]
fn a_role_that_can_t_be_assumed_is_told_in_the_words_of_aws() {
    let error = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
        <Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/base is not \
        authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/ops</Message></Error>\
        <RequestId>r</RequestId></ErrorResponse>";
    let url = start_service(403, "text/xml", error.to_owned());
    let config = "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n\
        [profile ops]\nrole_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = base\n";
    let case = Case::new(config).env(PROFILE, "ops").env("AWS_ENDPOINT_URL_STS", url);
    let words = case.credentials();
    assert!(words.contains("profile `ops` can't be loaded"), "{words}");
    assert!(words.contains("not authorized to perform: sts:AssumeRole"), "{words}");
    assert!(!words.contains("AKIABASE"), "{words}");
}

#[test]
fn a_web_identity_and_a_container_give_credentials() {
    let url = start_service(200, "text/xml", sts_answer("AssumeRoleWithWebIdentity"));
    let case = Case::new("");
    let token_file = case.home.path().join("token");
    std::fs::write(&token_file, "a.b.c").unwrap();
    let case = case
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token_file.display().to_string())
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ops")
        .env("AWS_ENDPOINT_URL_STS", url);
    assert_eq!(case.credentials(), FAKE_KEY);

    let answer = format!(
        "{{\"AccessKeyId\":\"{FAKE_KEY}\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\
         \"Expiration\":\"2099-01-01T00:00:00Z\"}}"
    );
    let url = start_service(200, "application/json", answer);
    let case = Case::new("").env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/creds"));
    assert_eq!(case.credentials(), FAKE_KEY);
}

#[test]
fn a_process_gives_credentials() {
    let config = "[profile ops]\ncredential_process = printf \
        '{\"Version\":1,\"AccessKeyId\":\"AKIAPROCESS\",\"SecretAccessKey\":\"s\"}'\n";
    let path = std::env::var("PATH").unwrap();
    assert_eq!(
        Case::new(config).env(PROFILE, "ops").env("PATH", path).credentials(),
        "AKIAPROCESS"
    );
}

#[test]
fn a_sign_in_session_gives_credentials_until_it_ends() {
    let in_an_hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() + 3_600_000;
    let answer = format!(
        "{{\"roleCredentials\":{{\"accessKeyId\":\"{FAKE_KEY}\",\"secretAccessKey\":\"s\",\
         \"sessionToken\":\"t\",\"expiration\":{in_an_hour}}}}}"
    );
    let url = start_service(200, "application/json", answer);
    let case = Case::new(SSO_CONFIG).env(PROFILE, "ops").env("AWS_ENDPOINT_URL_SSO", url);
    let sign_in = "sso_session_ended: The AWS sign-in of the account “ops” has ended: run \
        `aws sso login --profile ops` as the user that runs Meanwhile.";
    assert_eq!(case.credentials(), sign_in, "nobody has signed in yet");
    write_sso_token(case.home.path(), "2020-01-01T00:00:00Z");
    assert_eq!(case.credentials(), sign_in, "the session has expired");
    write_sso_token(case.home.path(), "2099-01-01T00:00:00Z");
    assert_eq!(case.credentials(), FAKE_KEY);

    let refused = "{\"message\":\"Session token not found or invalid\"}";
    let url = start_service(401, "application/json", refused.into());
    let case = Case::new(SSO_CONFIG).env(PROFILE, "ops").env("AWS_ENDPOINT_URL_SSO", url);
    write_sso_token(case.home.path(), "2099-01-01T00:00:00Z");
    assert_eq!(case.credentials(), sign_in, "the session was revoked");
}

#[test]
fn missing_credentials_say_where_to_put_them() {
    let words = Case::new("").credentials();
    let expected = "no_credentials: There are no AWS credentials for the account “ops”: set its \
        `profile`, or AWS_PROFILE, or give the machine a role.";
    assert_eq!(words, expected);
    let words = Case::new("").env(PROFILE, "opps").credentials();
    assert!(words.contains("no credentials for the profile `opps`"), "{words}");
    assert!(words.contains("add the profile to ~/.aws/config"), "{words}");
}

#[test]
fn region_and_endpoints_come_from_the_environment_or_the_profile() {
    let config = "[profile ops]\nregion = eu-west-3\nservices = local\n\
        [services local]\nec2 =\n  endpoint_url = http://127.0.0.1:7001\n";
    let settings = Case::new(config).env(PROFILE, "ops").run("settings");
    for part in
        ["eu-west-3", "http://127.0.0.1:7001/", "https://monitoring.eu-west-3.amazonaws.com/"]
    {
        assert!(settings.contains(part), "no {part}: {settings}");
    }
    let settings = Case::new(config)
        .env(PROFILE, "ops")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:7002")
        .env("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:7003")
        .run("settings");
    for part in ["us-east-1", "http://127.0.0.1:7003/"] {
        assert!(settings.contains(part), "no {part}: {settings}");
    }
    let words = Case::new("").run("settings");
    assert!(words.starts_with("the account “ops” has no region: set its `regions`"), "{words}");
    let words = Case::new("")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL_EC2", "localhost:5000")
        .run("settings");
    assert!(words.starts_with("the URL \"localhost:5000\" of EC2 can't be used"), "{words}");
}
