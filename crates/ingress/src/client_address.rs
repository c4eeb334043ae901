//! Address of the client: the peer's, or the one that a trusted proxy reports.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Proxies whose X-Forwarded-For is trusted; cheap to clone.
#[derive(Clone, Debug)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts all peers of these networks.
    pub fn new(trusted: &[IpNet]) -> Self {
        Self(trusted.into())
    }

    /// Whether `peer` is a trusted proxy.
    pub fn contains(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// Returns the address of the client of a request from `peer`: the last one that a
    /// trusted proxy vouches for. Each proxy appends its peer, so entries before an
    /// untrusted address may be forged.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values = headers.get_all("x-forwarded-for").iter();
        let mut hops: Vec<_> =
            values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).collect();
        let mut client = peer.to_canonical();
        while self.contains(client)
            && let Some(before) = hops.pop().and_then(parse_hop)
        {
            client = before;
        }
        client
    }
}

/// Parses an entry of X-Forwarded-For, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let whole = hop.parse::<SocketAddr>().map(|address| address.ip());
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    whole.or_else(|_| bare.parse()).ok().map(|address| address.to_canonical())
}

/// Parses a network such as `10.0.0.0/8`, or a single address.
///
/// # Errors
/// A message for the user, if the text is neither.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| "write an address or a network: 10.0.0.0/8".into())
}

/// Returns the network that counts as one client: the /64 of an IPv6 address,
/// which is one household's, or an IPv4 address itself.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|text| parse_network(text).unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        TrustedProxies::new(&trusted).client_address(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn forwarded_for_of_an_untrusted_peer_is_ignored() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn forged_forwarded_for_is_ignored() {
        let trusted = ["10.0.0.0/8", "127.0.0.1"];
        let forged = ["1.1.1.1, 198.51.100.1, 10.0.0.7"];
        assert_eq!(client(&trusted, "127.0.0.1", &forged), "198.51.100.1");
        let lines = ["1.1.1.1", "198.51.100.1"];
        assert_eq!(client(&trusted, "::ffff:127.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn hops_are_parsed_until_the_first_invalid_one() {
        for (hop, expected) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("unknown", "127.0.0.1"),
            ("", "127.0.0.1"),
        ] {
            assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &[hop]), expected, "{hop}");
        }
    }
}
