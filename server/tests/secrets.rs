//! A password in the configuration is printed nowhere, whatever is wrong with
//! it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs::{File, read_to_string},
    process::{Child, Command},
    time::{Duration, Instant},
};
use support::free_port;

const PASSWORD: &str = "hunter2-f00d";
/// The same as a URL has to spell it, and as it may.
const ENCODED: &str = "%68unter2-f00d";

/// A process, and what it has printed.
struct Run {
    child: Child,
    folder: tempfile::TempDir,
    what: String,
}

impl Run {
    fn start(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
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
        Self { child, folder, what: format!("{arguments:?} {env:?}") }
    }

    fn printed(&self) -> String {
        read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until it ends, or prints `words`; returns all that it printed.
    fn until(mut self, words: Option<&str>) -> String {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let printed = self.printed();
            match (ended, words) {
                (Some(status), None) => {
                    assert!(!printed.is_empty(), "{}: {status} without a word", self.what);
                    return printed;
                }
                (_, Some(words)) if printed.contains(words) => return printed,
                (Some(status), Some(_)) => panic!("{}: {status} {printed}", self.what),
                (None, _) => {}
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{}: {printed}", self.what);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check(what: &str, printed: &str) {
    for secret in [PASSWORD, ENCODED, "unter2"] {
        let line = printed.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what}: {}", line.unwrap_or_default());
    }
}

/// URLs that can't be read, each with the password in it.
fn broken(scheme: &str) -> Vec<String> {
    [PASSWORD, ENCODED]
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
fn what_cannot_be_read_is_not_printed_with_its_password() {
    let flags = [
        ("--database", "MEANWHILE_DATABASE", "postgres"),
        ("--broker", "MEANWHILE_BROKER", "amqp"),
        ("--gate", "MEANWHILE_GATE", "redis"),
    ];
    for (flag, variable, scheme) in flags {
        for (n, url) in broken(scheme).iter().enumerate() {
            let run = match n % 2 {
                0 => Run::start(&[flag, url], &[]),
                _ => Run::start(&[], &[(variable, url)]),
            };
            let what = run.what.clone();
            // A host that is not there is no error of the broker's URL: the
            // process waits for it.
            let waits = scheme == "amqp" && url.contains(":12/");
            check(&what, &run.until(waits.then_some("Meanwhile is ready")));
        }
    }
    let url = format!("postgres://ada:{PASSWORD}@127.0.0.1/x");
    for arguments in [
        vec![url.as_str()],
        vec!["--listen", &url],
        vec!["--trusted-proxy", &url],
        vec!["--metrics", &url],
        vec!["--sandbox-speed", &url],
        vec!["--no-such-flag", &url],
        vec!["--admin-password", PASSWORD, "--no-such-flag"],
    ] {
        let run = Run::start(&arguments, &[]);
        check(&run.what.clone(), &run.until(None));
    }
}

#[test]
fn what_is_not_there_is_waited_for_without_a_word_of_its_password() {
    let query = format!("postgres://127.0.0.1:1/x?user=ada&password={PASSWORD}");
    for url in [format!("postgres://ada:{PASSWORD}@127.0.0.1:1/x"), query] {
        let run = Run::start(&[], &[("MEANWHILE_DATABASE", &url)]);
        check(&url, &run.until(None));
    }
    let broker = format!("amqp://ada:{PASSWORD}@127.0.0.1:1/%2f");
    let gate = format!("redis://ada:{ENCODED}@127.0.0.1:1/0");
    let env = [
        ("MEANWHILE_BROKER", broker.as_str()),
        ("MEANWHILE_GATE", &gate),
        ("MEANWHILE_ADMIN_EMAIL", "ada@example.com"),
        ("MEANWHILE_ADMIN_PASSWORD", PASSWORD),
    ];
    let printed = Run::start(&[], &env).until(Some("could not consume"));
    check("a broker and gates that are not there", &printed);
}

#[test]
fn help_tells_no_value_that_holds_a_secret() {
    let url = format!("http://ada:{PASSWORD}@127.0.0.1/x");
    let env: Vec<_> = [
        "MEANWHILE_DATABASE",
        "MEANWHILE_BROKER",
        "MEANWHILE_GATE",
        "MEANWHILE_SANDBOX_URL",
        "MEANWHILE_PUBLIC_URL",
        "MEANWHILE_ADMIN_EMAIL",
    ]
    .map(|name| (name, url.as_str()))
    .into_iter()
    .chain([("MEANWHILE_ADMIN_PASSWORD", PASSWORD)])
    .collect();
    for flag in ["--help", "-h", "--version"] {
        let run = Run::start(&[flag], &env);
        check(flag, &run.until(None));
    }
}
