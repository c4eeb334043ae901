//! Known devices: a browser that somebody has signed in on keeps a signed
//! cookie that says so. On such a device the account's owner can sign in while
//! strangers guess the account's password. The method is OWASP's
//! [device cookies](https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
//!
//! The cookie opens nothing: it only has failures counted for this device
//! instead of for the account and the network.

use crate::{cookie, problem::Problem, state::State};
use axum::http::{HeaderMap, HeaderValue};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;

const COOKIE: &str = "meanwhile_device";
/// Browsers keep no cookie for longer, s.
const LIFE_S: i64 = 400 * 24 * 3600;

/// Signs the cookies of known devices. Cheap to clone.
#[derive(Clone)]
pub struct DeviceKey(Arc<str>);

impl DeviceKey {
    /// `secret` is the same on every node.
    pub fn new(secret: String) -> Self {
        Self(secret.into())
    }

    /// `None` never happens: HMAC takes a key of any length.
    fn mac(&self, email: &str, id: &str) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.as_bytes()).ok()?;
        // An id has 32 digits, so no other email and id give the same text.
        mac.update(format!("device {id} {email}").as_bytes());
        Some(mac)
    }

    /// Returns the value of a cookie for a new device of the account `email`.
    fn sign(&self, email: &str) -> Option<String> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let signature = hex::encode(self.mac(email, &id)?.finalize().into_bytes());
        Some(format!("{id}.{signature}"))
    }

    /// Returns the device's id where `value` was signed for the account `email`.
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

/// Returns the id of the device that the request comes from, where somebody has
/// signed in to the account `email` on it.
pub fn known(state: &State, headers: &HeaderMap, email: &str) -> Option<String> {
    state.device_key.verify(email, &cookie::get(headers, COOKIE)?)
}

/// Returns the cookie by which the device is known from now on.
///
/// # Errors
/// 500 where no cookie can be made.
pub fn remember(state: &State, email: &str) -> Result<HeaderValue, Problem> {
    // Sent to the sign-in and its forms; the rest of the pages don't need it.
    let value = state.device_key.sign(email).unwrap_or_default();
    cookie::set(state, COOKIE, &value, "/", LIFE_S)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_device_is_known_for_its_account_and_by_its_key_alone() {
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
