//! Hosts that are this machine.

use std::net::IpAddr;

/// Whether connections to `host`, a name or an address, don't leave this machine.
pub fn is_local_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // RFC 6761, section 6.3: names of this machine, whatever a resolver says.
        Err(_) => {
            let host = host.to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_local_host;

    #[test]
    fn names_and_addresses_of_this_machine_are_known() {
        for host in
            ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"]
        {
            assert!(is_local_host(host), "{host}");
        }
        for host in ["", "db", "localhost.example.com", "mylocalhost", "10.0.0.1", "[2001:db8::1]"]
        {
            assert!(!is_local_host(host), "{host}");
        }
    }
}
