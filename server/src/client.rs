//! Whose request it is: the peer's address, or what a trusted proxy says.

use crate::{problem::Problem, state::State};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, StatusCode, request::Parts},
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The address that a request came from.
pub struct Client(pub IpAddr);

impl FromRequestParts<State> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
            let words = "The server can't tell where this request came from.";
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, words));
        };
        Ok(Self(state.proxies.client(peer.ip(), &parts.headers)))
    }
}

/// Proxies whose X-Forwarded-For is believed.
#[derive(Clone, Debug)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    pub fn new(trusted: &[IpNet]) -> Self {
        Self(trusted.into())
    }

    /// Whether it is one of them.
    pub fn trust(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// The last address that a trusted proxy vouches for: each writes its peer
    /// at the end, and what stands before an untrusted one is hearsay.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values = headers.get_all("x-forwarded-for").iter();
        let mut hops: Vec<_> =
            values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).collect();
        let mut client = peer.to_canonical();
        while self.trust(client)
            && let Some(before) = hops.pop().and_then(address)
        {
            client = before;
        }
        client
    }
}

/// With or without a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let whole = hop.parse::<SocketAddr>().map(|address| address.ip());
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    whole.or_else(|_| bare.parse()).ok().map(|address| address.to_canonical())
}

/// A network such as `10.0.0.0/8`, or one address.
///
/// # Errors
/// In words, where the text is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| "write an address or a network: 10.0.0.0/8".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|text| network(text).unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        Proxies::new(&trusted).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn what_a_client_itself_wrote_before_its_proxy_is_not_believed() {
        let trusted = ["10.0.0.0/8", "127.0.0.1"];
        let forged = ["1.1.1.1, 198.51.100.1, 10.0.0.7"];
        assert_eq!(client(&trusted, "127.0.0.1", &forged), "198.51.100.1");
        let lines = ["1.1.1.1", "198.51.100.1"];
        assert_eq!(client(&trusted, "::ffff:127.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn ports_and_brackets_are_taken_off_and_nonsense_ends_the_chain() {
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
