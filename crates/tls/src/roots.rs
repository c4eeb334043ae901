//! Authorities that are trusted.

use rustls::RootCertStore;
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use std::path::Path;

/// Environment variable with the path of a file, in place of the system's authorities. It holds
/// for every library here.
const FILE_VARIABLE: &str = "SSL_CERT_FILE";
/// Environment variable with the paths of folders, whose files count too.
const FOLDER_VARIABLE: &str = "SSL_CERT_DIR";

/// The authorities that the environment names can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the authorities that {variable} names can't be read: {why}. Set it to where the \
     certificates of all authorities that Meanwhile may trust are, in PEM format; or unset it \
     for those of the system"
)]
pub struct InvalidRoots {
    variable: &'static str,
    why: String,
}

/// Loads the authorities that a server's certificate may come from: those in the file
/// `SSL_CERT_FILE` and the folders `SSL_CERT_DIR`, or the system's if neither is set.
///
/// The result is empty on a system without authorities: no server can be trusted then.
///
/// # Errors
/// A variable is set, and what it names can't be read or has no certificate.
pub fn load_roots() -> Result<RootCertStore, InvalidRoots> {
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        // The folders might hide that the file has none.
        check(&load_certs_from_paths(Some(Path::new(&path)), None), FILE_VARIABLE)?;
    }
    let loaded = load_native_certs();
    if std::env::var_os(FOLDER_VARIABLE).is_some_and(|folders| !folders.is_empty()) {
        check(&loaded, FOLDER_VARIABLE)?;
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    Ok(roots)
}

fn check(loaded: &CertificateResult, variable: &'static str) -> Result<(), InvalidRoots> {
    let why = match loaded.errors.first() {
        Some(error) => error.to_string(),
        None if loaded.certs.is_empty() => "there is no certificate".into(),
        None => return Ok(()),
    };
    Err(InvalidRoots { variable, why })
}
