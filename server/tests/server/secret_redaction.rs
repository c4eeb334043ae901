//! No output contains a password of the configuration, whatever is wrong with
//! the configuration.

use crate::support::BINARY;
use std::{
    fs::{File, read_to_string},
    process::{Child, Command},
    time::{Duration, Instant},
};
use testbed::free_port;

const PASSWORD: &str = "hunter2-f00d";
/// The same password, percent-encoded as a URL may spell it.
const ENCODED_PASSWORD: &str = "%68unter2-f00d";

/// A process whose output goes to a file.
struct CapturedProcess {
    child: Child,
    folder: tempfile::TempDir,
    description: String,
}

impl CapturedProcess {
    fn start(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(BINARY)
            .args(arguments)
            .env("MEANWHILE_DATA", folder.path().join("data"))
            .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", free_port()))
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "1")
            .envs(env.iter().copied())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self { child, folder, description: format!("{arguments:?} {env:?}") }
    }

    fn read_output(&self) -> String {
        read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until the process exits, or prints `words` if given; returns its
    /// output.
    fn wait_for_output(mut self, words: Option<&str>) -> String {
        let start = Instant::now();
        loop {
            let exited = self.child.try_wait().unwrap();
            let printed = self.read_output();
            match (exited, words) {
                (Some(status), None) => {
                    assert!(
                        !printed.is_empty(),
                        "{}: {status} without any output",
                        self.description
                    );
                    return printed;
                }
                (_, Some(words)) if printed.contains(words) => return printed,
                (Some(status), Some(_)) => panic!("{}: {status} {printed}", self.description),
                (None, _) => {}
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{}: {printed}", self.description);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for CapturedProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_no_secret(what: &str, printed: &str) {
    for secret in [PASSWORD, ENCODED_PASSWORD, "unter2"] {
        let line = printed.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what}: {}", line.unwrap_or_default());
    }
}

/// Returns malformed URLs, each with the password in it.
fn malformed_urls(scheme: &str) -> Vec<String> {
    [PASSWORD, ENCODED_PASSWORD]
        .iter()
        .flat_map(|password| {
            [
                format!("{scheme}://ada:{password}@127.0.0.1:notaport/x"),
                format!("{scheme}:/ada:{password}@127.0.0.1/x"),
                format!("{scheme}//ada:{password}@127.0.0.1/x"),
                format!("{scheme}:ada:{password}@127.0.0.1/x"),
                format!("ada:{password}@127.0.0.1/x"),
                format!("{scheme}x://ada:{password}@127.0.0.1/x"),
                format!("{scheme}://ada:12/{password}@127.0.0.1:1/x"),
                format!("{scheme}://ada:{password}"),
            ]
        })
        .collect()
}

#[test]
fn malformed_urls_are_reported_without_their_password() {
    let flags = [
        ("--database", "MEANWHILE_DATABASE", "postgres"),
        ("--broker", "MEANWHILE_BROKER", "amqp"),
        ("--limiter", "MEANWHILE_LIMITER", "redis"),
    ];
    for (flag, variable, scheme) in flags {
        for (n, url) in malformed_urls(scheme).iter().enumerate() {
            let run = match n % 2 {
                0 => CapturedProcess::start(&[flag, url], &[]),
                _ => CapturedProcess::start(&[], &[(variable, url)]),
            };
            let what = run.description.clone();
            // An unreachable broker is no configuration error: the process starts
            // and waits for it.
            let waits = scheme == "amqp" && url.contains(":12/");
            assert_no_secret(&what, &run.wait_for_output(waits.then_some("Meanwhile is ready")));
        }
    }
    let url = format!("postgres://ada:{PASSWORD}@127.0.0.1/x");
    for arguments in [
        vec![url.as_str()],
        vec!["--listen", &url],
        vec!["--trusted-proxy", &url],
        vec!["--metrics-listen", &url],
        vec!["--sandbox-speed", &url],
        vec!["--no-such-flag", &url],
        vec!["--admin-password", PASSWORD, "--no-such-flag"],
    ] {
        let run = CapturedProcess::start(&arguments, &[]);
        assert_no_secret(&run.description.clone(), &run.wait_for_output(None));
    }
}

#[test]
fn unreachable_servers_are_reported_without_their_password() {
    let query = format!("postgres://127.0.0.1:1/x?user=ada&password={PASSWORD}");
    for url in [format!("postgres://ada:{PASSWORD}@127.0.0.1:1/x"), query] {
        let run = CapturedProcess::start(&[], &[("MEANWHILE_DATABASE", &url)]);
        assert_no_secret(&url, &run.wait_for_output(None));
    }
    let broker = format!("amqp://ada:{PASSWORD}@127.0.0.1:1/%2f");
    let limiter = format!("redis://ada:{ENCODED_PASSWORD}@127.0.0.1:1/0");
    let env = [
        ("MEANWHILE_BROKER", broker.as_str()),
        ("MEANWHILE_LIMITER", &limiter),
        ("MEANWHILE_ADMIN_EMAIL", "ada@example.com"),
        ("MEANWHILE_ADMIN_PASSWORD", PASSWORD),
    ];
    let printed = CapturedProcess::start(&[], &env).wait_for_output(Some("could not consume"));
    assert_no_secret("an unreachable broker and limiter", &printed);
}

#[test]
fn help_shows_no_secret_values() {
    let url = format!("http://ada:{PASSWORD}@127.0.0.1/x");
    let env: Vec<_> = [
        "MEANWHILE_DATABASE",
        "MEANWHILE_BROKER",
        "MEANWHILE_LIMITER",
        "MEANWHILE_SANDBOX_URL",
        "MEANWHILE_PUBLIC_URL",
        "MEANWHILE_ADMIN_EMAIL",
    ]
    .map(|name| (name, url.as_str()))
    .into_iter()
    .chain([("MEANWHILE_ADMIN_PASSWORD", PASSWORD)])
    .collect();
    for flag in ["--help", "-h", "--version"] {
        let run = CapturedProcess::start(&[flag], &env);
        assert_no_secret(flag, &run.wait_for_output(None));
    }
}
