//! Limits of admission control.

use std::time::Duration;

/// Limits on the requests that are in progress and on the bodies in memory. An open
/// WebSocket is not a request.
#[derive(Clone, Debug)]
pub struct AdmissionLimits {
    /// Maximum number of requests in progress.
    pub requests: usize,
    /// Maximum number of requests in progress of one session or user, and of the
    /// anonymous clients of one network.
    pub requests_per_client: usize,
    /// Maximum number of requests in progress of one network, whatever credentials
    /// its clients make up. Many people may share an address.
    pub requests_per_network: usize,
    /// Maximum number of requests in progress of all anonymous clients, which leaves
    /// room for users who are signed in.
    pub anonymous_requests: usize,
    /// Maximum time that a request waits for a permit.
    pub request_timeout: Duration,
    /// Maximum size of all bodies in memory, in KiB.
    pub bodies_kib: u32,
    /// Maximum size of one user's bodies in memory, in KiB.
    pub user_bodies_kib: u32,
    /// Maximum size of a body that a handler holds in memory, in KiB. A body without
    /// a Content-Length counts as this large. The routes enforce their own limits.
    pub body_kib: u32,
    /// Size up to which a body is not counted, in KiB, and which the bodies of
    /// anonymous clients must not exceed.
    pub uncounted_body_kib: u32,
    /// Maximum time that a body waits for its permits.
    pub body_timeout: Duration,
}

impl Default for AdmissionLimits {
    /// Bodies of up to 33 MiB, of which one user may send one at a time, and three
    /// are in memory: parsing a file takes several times its size. As many
    /// uncounted bodies as there are requests are smaller than that.
    fn default() -> Self {
        let body_kib = 33 * 1024;
        Self {
            requests: 512,
            requests_per_client: 64,
            requests_per_network: 256,
            anonymous_requests: 256,
            request_timeout: Duration::from_millis(900),
            bodies_kib: 3 * body_kib,
            user_bodies_kib: body_kib,
            body_kib,
            uncounted_body_kib: 64,
            body_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uncounted_bodies_are_smaller_than_the_counted_ones() {
        let limits = AdmissionLimits::default();
        let requests = u32::try_from(limits.requests).unwrap();
        assert!(requests * limits.uncounted_body_kib < limits.bodies_kib);
        assert!(limits.anonymous_requests < limits.requests);
    }
}
