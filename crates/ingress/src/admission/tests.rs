use super::*;
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue},
};

type Admission = AdmissionControl<u32>;

fn address(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn request(method: Method, header: Option<(HeaderName, HeaderValue)>) -> Parts {
    let mut parts = Request::new(Body::empty()).into_parts().0;
    parts.method = method;
    parts.headers.extend(header);
    parts
}

fn read() -> Parts {
    request(Method::GET, None)
}

/// Returns a request with a body of `kib` KiB.
fn upload(kib: u32) -> Parts {
    request(Method::POST, Some((header::CONTENT_LENGTH, (kib * 1024).into())))
}

/// Admits a request of a user, from a network of their own.
async fn admit_user(
    admission: &Admission,
    user: u8,
    parts: &Parts,
) -> Result<AdmissionPermit, Rejection> {
    let client = admission.admit_client(address(user), Some(format!("session of {user}")))?;
    client.admit_request(ClientIdentity::User(user.into()), parts).await
}

#[test]
fn body_counts_as_its_content_length_or_the_maximum() {
    let max = AdmissionLimits::default().body_kib;
    let size = |method: &Method, name, value| {
        let value = HeaderValue::from_static(value);
        body_size_kib(&request(method.clone(), Some((name, value))), max)
    };
    assert_eq!(body_size_kib(&request(Method::POST, None), max), 0);
    assert_eq!(size(&Method::POST, header::CONTENT_LENGTH, "1"), 1);
    assert_eq!(size(&Method::POST, header::CONTENT_LENGTH, "1048576"), 1024);
    assert_eq!(size(&Method::POST, header::CONTENT_LENGTH, "99999999999999"), max);
    assert_eq!(size(&Method::POST, header::TRANSFER_ENCODING, "chunked"), max);
    assert_eq!(size(&Method::GET, header::CONTENT_LENGTH, "1048576"), 0);
}

#[test]
fn made_up_credentials_do_not_bypass_the_network_limit() {
    let admission = Admission::default();
    let max = AdmissionLimits::default().requests_per_network;
    let in_network = |network: u16, host: usize| {
        let host = u16::try_from(host).unwrap();
        let address = IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]);
        admission.admit_client(address, Some(format!("made up {host}")))
    };
    let admitted: Vec<_> = (0..max).map(|host| in_network(0, host).ok().unwrap()).collect();
    assert_eq!(in_network(0, max).err(), Some(Rejection::NetworkRequests(max)));
    assert!(in_network(1, 1).is_ok());
    drop(admitted);
    assert!(in_network(0, max).is_ok());
}

#[tokio::test]
async fn invalid_credential_earns_no_share_of_its_own() {
    let admission = Admission::default();
    let max = AdmissionLimits::default().requests_per_client;
    let admit = async |n: usize, identity| {
        let client = admission.admit_client(address(1), Some(format!("made up {n}")))?;
        client.admit_request(identity, &read()).await
    };
    let mut permits = Vec::new();
    for n in 0..max {
        permits.push(admit(n, ClientIdentity::Anonymous).await.unwrap());
    }
    let more = admit(max, ClientIdentity::Anonymous).await;
    assert_eq!(more.err(), Some(Rejection::ClientRequests(max)));
    let anonymous = admission.admit_client(address(1), None);
    assert_eq!(anonymous.err(), Some(Rejection::ClientRequests(max)));
    // Without a lookup nobody knows yet that it is invalid.
    assert!(admit(max, ClientIdentity::Unknown).await.is_ok());
    assert!(admit(max, ClientIdentity::User(1)).await.is_ok());
}

#[tokio::test]
async fn sessions_of_one_user_share_the_users_share() {
    let admission = Admission::default();
    let max = AdmissionLimits::default().requests_per_client;
    let admit = async |session: usize| {
        let client = admission.admit_client(address(1), Some(format!("session {session}")))?;
        client.admit_request(ClientIdentity::User(1), &read()).await
    };
    let mut permits = Vec::new();
    for n in 0..max {
        permits.push(admit(n % 2).await.unwrap());
    }
    assert_eq!(admit(2).await.err(), Some(Rejection::ClientRequests(max)));
    permits.pop();
    assert!(admit(2).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn bodies_of_one_user_do_not_block_others() {
    let admission = Admission::default();
    let AdmissionLimits { body_kib, uncounted_body_kib, user_bodies_kib, .. } =
        AdmissionLimits::default();
    let large = upload(body_kib);
    let first = admit_user(&admission, 1, &large).await.unwrap();
    let second = admit_user(&admission, 1, &upload(uncounted_body_kib + 1)).await;
    assert_eq!(second.err(), Some(Rejection::UserBodies(user_bodies_kib)));
    assert!(admit_user(&admission, 1, &upload(uncounted_body_kib)).await.is_ok());
    let _other = admit_user(&admission, 2, &large).await.unwrap();
    let waits = tokio::spawn({
        let admission = admission.clone();
        async move { admit_user(&admission, 1, &upload(body_kib)).await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(first);
    assert_eq!(waits.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn total_of_bodies_is_reported_as_global() {
    let admission = Admission::default();
    let large = upload(AdmissionLimits::default().body_kib);
    let mut permits = Vec::new();
    for user in 0..3 {
        permits.push(admit_user(&admission, user, &large).await.unwrap());
    }
    assert_eq!(admit_user(&admission, 9, &large).await.err(), Some(Rejection::Global));
}

#[tokio::test]
async fn anonymous_clients_may_send_small_bodies_only() {
    let admission = Admission::default();
    let small = AdmissionLimits::default().uncounted_body_kib;
    let admit = async |kib| {
        let client = admission.admit_client(address(1), None).ok().unwrap();
        client.admit_request(ClientIdentity::Anonymous, &upload(kib)).await
    };
    assert!(admit(small).await.is_ok());
    assert_eq!(admit(small + 1).await.err(), Some(Rejection::AnonymousBody));
}

/// Admits an anonymous request whose response is not read, and which ends with its
/// connection.
async fn unread(admission: &Admission, address: IpAddr) -> Result<Arc<Connection>, Rejection> {
    let connection = Arc::new(Connection::default());
    let mut parts = read();
    parts.extensions.insert(Arc::clone(&connection));
    let client = admission.admit_client(address, None)?;
    let permit = client.admit_request(ClientIdentity::Anonymous, &parts).await?;
    connection.request_started(false);
    connection.response_started();
    connection.set_blocked(true);
    let ended = Arc::clone(&connection);
    tokio::spawn(async move {
        ended.ended().await;
        drop(permit);
    });
    Ok(connection)
}

#[tokio::test(start_paused = true)]
async fn anonymous_stalled_requests_are_evicted_for_other_networks_only() {
    let limits = AdmissionLimits::default();
    let max = limits.anonymous_requests;
    let (requests_per_client, requests_per_network) = (max, max);
    let admission =
        Admission::new(AdmissionLimits { requests_per_client, requests_per_network, ..limits });
    let mut connections = Vec::new();
    for n in 0..max {
        let network = address(u8::try_from(n % 2).unwrap());
        connections.push(unread(&admission, network).await.unwrap());
    }
    let start = Instant::now();
    // Further requests of the same networks don't even wait.
    for n in 0..100 {
        let more = unread(&admission, address(n % 2)).await;
        assert_eq!(more.err(), Some(Rejection::Global));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    // A client of another network is admitted as soon as requests have stalled.
    let other = unread(&admission, address(9)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!other.is_ended());
    assert_eq!(connections.iter().filter(|connection| connection.is_ended()).count(), 1);
    // A signed-in user is admitted all the time.
    assert!(admit_user(&admission, 0, &read()).await.is_ok());
}
