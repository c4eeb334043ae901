//! Names of the metrics that this crate records, with the crate `metrics`.

/// Rejected requests and connections, by `limit`: `global`, `client_requests`,
/// `address`, `user_bodies`, `connections`, `network_connections`. A server that
/// has limits of its own adds their names.
pub const REJECTIONS: &str = "meanwhile_admission_rejections_total";
/// Connections that waited for their client and were closed in favour of another
/// client.
pub const EVICTIONS: &str = "meanwhile_connections_evicted_total";
/// Connections that were closed because their client did not read what was sent.
pub const RESPONSE_WRITE_TIMEOUTS: &str = "meanwhile_response_write_timeouts_total";
/// Requests that were ended because their body stalled.
pub const REQUEST_BODY_TIMEOUTS: &str = "meanwhile_request_body_timeouts_total";
