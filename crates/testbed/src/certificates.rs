//! Certificates of servers, and the authority that issues them.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Last day of an expired certificate.
const EXPIRED: (i32, u8, u8) = (2020, 2, 29);

/// An authority that exists for one test.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM format.
    pub certificate_pem: String,
}

impl CertificateAuthority {
    /// Creates an authority with a new key.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate_pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate_pem }
    }

    /// Issues a certificate for these host names and addresses.
    pub fn issue(&self, names: &[&str]) -> ServerCertificate {
        self.issue_with(names, |_| ())
    }

    /// Issues a certificate that expired on 29 February 2020.
    pub fn issue_expired(&self, names: &[&str]) -> ServerCertificate {
        let (year, month, day) = EXPIRED;
        self.issue_with(names, |params| params.not_after = date_time_ymd(year, month, day))
    }

    /// Returns the certificates that a client on 127.0.0.1 must refuse though it trusts this
    /// authority, each with what its error has to say: one of another authority, one for
    /// another name, and an expired one.
    pub fn refused_certificates(&self) -> [(ServerCertificate, [&'static str; 2]); 3] {
        let unknown = Self::new("Unknown test authority").issue(&["127.0.0.1"]);
        [
            (unknown, ["an authority that this machine doesn't trust", "SSL_CERT_FILE"]),
            (
                self.issue(&["other.example.com"]),
                ["is for other.example.com and not for 127.0.0.1", "in the URL"],
            ),
            (self.issue_expired(&["127.0.0.1"]), ["expired on 2020-02-29", "Renew it"]),
        ]
    }

    fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerCertificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerCertificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// Certificate of a server, with its key, both in PEM format.
#[derive(Clone)]
pub struct ServerCertificate {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl ServerCertificate {
    /// Writes `server.pem` and `server.key` into `folder`, which only the current account can
    /// read, or the account `owner`.
    pub(crate) fn write_to(&self, folder: &Path, owner: Option<&str>) {
        use std::os::unix::fs::PermissionsExt;
        let files =
            [(certificate_path(folder), &self.certificate_pem), (key_path(folder), &self.key_pem)];
        for (path, content) in files {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some(owner) = owner {
                let status = Command::new("chown").arg(owner).arg(&path).status().unwrap();
                assert!(status.success(), "the account {owner} is missing");
            }
        }
    }
}

/// Returns the path of the certificate that [`ServerCertificate::write_to`] writes.
pub(crate) fn certificate_path(folder: &Path) -> PathBuf {
    folder.join("server.pem")
}

/// Returns the path of the key that [`ServerCertificate::write_to`] writes.
pub(crate) fn key_path(folder: &Path) -> PathBuf {
    folder.join("server.key")
}
