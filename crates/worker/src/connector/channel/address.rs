//! Private addresses, which a channel may use only if its file says so: otherwise a file, or
//! whoever controls the DNS of a shop, could have this server call services that trust its
//! network.

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Resolves names to public addresses only.
pub struct PublicAddresses;

/// The name has private addresses only.
#[derive(Debug)]
struct PrivateAddress;

impl fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has private addresses only")
    }
}

impl Error for PrivateAddress {}

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<_> =
                found.into_iter().filter(|address| !is_private(address.ip())).collect();
            match public.is_empty() {
                true => Err(Box::new(PrivateAddress) as Box<dyn Error + Send + Sync>),
                false => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether the environment names a proxy.
pub fn uses_proxy() -> bool {
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Whether an error is that of [`PublicAddresses`].
pub fn is_refused(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(current) = source {
        if current.is::<PrivateAddress>() {
            return true;
        }
        source = current.source();
    }
    false
}

/// Returns the host of a URL if it is a private address, or the name of this machine.
pub fn private_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let is_private = match url.host()? {
        url::Host::Ipv4(address) => is_private(address.into()),
        url::Host::Ipv6(address) => is_private(address.into()),
        url::Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    };
    is_private.then(|| url.host_str().unwrap_or_default().to_owned())
}

/// Whether an address is not one of the public Internet, by the [IANA
/// registries](https://www.iana.org/assignments/iana-ipv4-special-registry).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address),
            None => is_private_v6(address),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        // Carrier-grade NAT, IETF protocol assignments, benchmarks, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // Addresses that contain an IPv4 address, which may be a private one: NAT64, 6to4.
        || (segments[0] == 0x64 && segments[1] == 0xff9b)
        || segments[0] == 0x2002
        // Site-local, and those that end in an IPv4 address.
        || segments[0] & 0xffc0 == 0xfec0
        || segments[..6] == [0; 6]
        // Documentation and discard-only.
        || (segments[0] == 0x2001 && segments[1] == 0xdb8)
        || segments[0] == 0x100
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{sync::Arc, time::Duration};

    #[test]
    fn private_addresses_are_recognised_in_every_form() {
        for (url, private) in [
            ("http://127.0.0.1/", true),
            ("http://127.1/", true),
            ("http://2130706433/", true),
            ("http://0x7f.1/", true),
            ("http://10.1.2.3/", true),
            ("http://169.254.169.254/latest", true),
            ("http://[::1]/", true),
            ("http://[::ffff:10.0.0.1]/", true),
            ("http://[64:ff9b::a00:1]/", true),
            ("http://[fd00::1]/", true),
            ("http://[fec0::1]/", true),
            ("http://[::10.0.0.1]/", true),
            ("http://localhost:80/", true),
            ("http://api.localhost/", true),
            ("http://LOCALHOST./", true),
            ("http://100.64.0.1/", true),
            ("http://0.0.0.0/", true),
            ("https://93.184.216.34/", false),
            ("https://[2606:2800:220:1::1]/", false),
            ("https://shop.example/", false),
        ] {
            assert_eq!(private_host(url).is_some(), private, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_with_private_addresses_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let builder = crate::connector::client_builder(Duration::from_secs(10)).unwrap();
        let client = builder.dns_resolver(Arc::new(PublicAddresses)).build().unwrap();
        let error = client.get(url).send().await.unwrap_err();
        assert!(is_refused(&error), "{error:?}");
        let nothing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = client.get(format!("http://{nothing}/")).send().await.unwrap_err();
        assert!(!is_refused(&error), "{error:?}");
    }
}
