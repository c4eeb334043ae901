//! Known devices. A browser in which a user has signed in has a signed cookie that
//! says so. On such a device the account's owner can sign in while strangers guess
//! the account's password. The method is OWASP's
//! [device cookies](https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
//!
//! The cookie grants no access. Its only effect is that failures are counted by
//! device instead of by account and network.

use crate::{cookie, state::AppState};
use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;

const COOKIE: &str = "meanwhile_device";
/// Lifetime of the cookie, in seconds: the longest that browsers allow.
const LIFETIME_S: i64 = 400 * 24 * 3600;

/// Signs the cookies of known devices. Cheap to clone.
#[derive(Clone)]
pub struct DeviceKey(Arc<str>);

impl DeviceKey {
    /// Creates the key from a secret, which must be the same on every node.
    pub fn new(secret: String) -> Self {
        Self(secret.into())
    }

    /// Returns the MAC over the device's id and the account. It is never `None`: HMAC
    /// accepts a key of any length.
    fn mac(&self, email: &str, id: &str) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.as_bytes()).ok()?;
        // An id has 32 digits, so no other pair of id and email results in this text.
        mac.update(format!("device {id} {email}").as_bytes());
        Some(mac)
    }

    /// Returns the value of a cookie for a new device of the account `email`.
    fn sign(&self, email: &str) -> Option<String> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let signature = hex::encode(self.mac(email, &id)?.finalize().into_bytes());
        Some(format!("{id}.{signature}"))
    }

    /// Returns the device's id if `value` was signed for the account `email`.
    fn verify(&self, email: &str, value: &str) -> Option<String> {
        let (id, signature) = value.split_once('.')?;
        if id.len() != 32 {
            return None;
        }
        let signature = hex::decode(signature).ok()?;
        self.mac(email, id)?.verify_slice(&signature).ok()?;
        Some(id.to_owned())
    }
}

/// Returns the id of the device that the request comes from if somebody has signed
/// in to the account `email` on it.
pub fn known_device_id(state: &AppState, headers: &HeaderMap, email: &str) -> Option<String> {
    state.device_key.verify(email, &cookie::get(headers, COOKIE)?)
}

/// Returns the part of a response with the cookie that makes this device a known one
/// of the account `email`.
pub fn device_cookie(state: &AppState, email: &str) -> CookieJar {
    let value = state.device_key.sign(email).unwrap_or_default();
    cookie::set(state, COOKIE, value, "/", LIFETIME_S)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn device_cookie_is_bound_to_account_and_key() {
        let key = DeviceKey::new("a".repeat(64));
        let value = key.sign("ada@example.com").unwrap();
        let id = key.verify("ada@example.com", &value).unwrap();
        assert!(value.starts_with(&id));
        assert_eq!(key.verify("bob@example.com", &value), None);
        assert_eq!(DeviceKey::new("b".repeat(64)).verify("ada@example.com", &value), None);
        let (_, signature) = value.split_once('.').unwrap();
        for forged in [
            "",
            ".",
            &id,
            &format!("{id}."),
            &format!("{id}.{}", &signature[2..]),
            &format!("{}.{signature}", "0".repeat(32)),
            &format!("{}x.{signature}", &id[1..]),
        ] {
            assert_eq!(key.verify("ada@example.com", forged), None, "{forged}");
        }
    }
}
