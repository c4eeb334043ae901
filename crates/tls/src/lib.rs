//! TLS of outgoing connections.
//!
//! | module | contents |
//! | --- | --- |
//! | `provider` | rustls on ring, the only provider of cryptography in this workspace |
//! | `roots` | the authorities that are trusted: the system's, or those of `SSL_CERT_FILE` |
//! | `failure` | what a failed handshake means, in words |
//! | `local_host` | hosts that are this machine, whose connections nobody can read |
#![warn(missing_docs)]

mod failure;
mod local_host;
mod provider;
mod roots;

pub use failure::{CertificateDate, TlsFailure};
pub use local_host::is_local_host;
pub use provider::{https_config, install_provider};
pub use roots::{InvalidRoots, load_roots};
