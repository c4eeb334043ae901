//! Processes in which a test's own authority is trusted.

use crate::CertificateAuthority;
use std::process::Command;

/// Environment variable that marks a child process, with the name of its test.
const CHILD_ENV: &str = "TESTBED_TRUSTED_AUTHORITY_TEST";
/// Environment variable that names the file of trusted authorities.
const ROOTS_ENV: &str = "SSL_CERT_FILE";

/// Runs the current test, called `test_name` with its modules, in a child process in which
/// `SSL_CERT_FILE` names the certificate of a new authority: a process can't safely change its
/// own environment. Returns the authority in the child, and `None` in the parent once the
/// child has passed.
pub fn trusted_authority(test_name: &str) -> Option<CertificateAuthority> {
    if std::env::var_os(CHILD_ENV).is_some_and(|name| name == test_name) {
        let authority = CertificateAuthority::new("Trusted test authority");
        let roots = std::env::var_os(ROOTS_ENV).unwrap();
        std::fs::write(roots, &authority.certificate_pem).unwrap();
        return Some(authority);
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test_name, "--nocapture"])
        .env(CHILD_ENV, test_name)
        .env_remove("SSL_CERT_DIR")
        .env(ROOTS_ENV, folder.path().join("authorities.pem"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test_name} failed");
    assert!(printed.contains("1 passed"), "there is no test {test_name}");
    None
}
