//! Races sign-ins and slow requests against a changed or reset password and a
//! disabled account: no session outlives its password, and nothing is done for a
//! disabled user.

use crate::{
    browser::{Browser, response_cookies},
    host::HostInfo,
    report::Report,
};
use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use std::{net::Ipv4Addr, path::Path, time::Duration};
use testbed::{SandboxConfig, ServerProcess, api::PASSWORD};
use tokio::time::sleep;

/// Number of concurrent sign-ins in each round.
const CONCURRENT_SIGN_INS: usize = 4;
/// Maximum random delay of the sign-ins and of what ends their password, ms.
const MAX_DELAY_MS: u64 = 60;

#[derive(clap::Args)]
pub struct SignInRaces {
    /// Number of rounds of each race.
    #[arg(long, default_value_t = 1_000)]
    rounds: u32,
    /// URL of the database; by default SQLite in a temporary folder.
    #[arg(long)]
    database: Option<String>,
}

/// Event that ends the sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionEnd {
    PasswordChange,
    PasswordReset,
    AccountDisabled,
}

/// Result of a race.
#[derive(Default)]
struct RaceResult {
    /// Number of sign-ins that opened a session.
    sessions_opened: u32,
    /// Number of sessions that were still valid afterwards.
    sessions_left: u32,
}

impl SignInRaces {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { rounds, database } = self;
        let env: Vec<_> = database.map(|url| ("MEANWHILE_DATABASE", url)).into_iter().collect();
        let server =
            ServerProcess::start_with(binary, SandboxConfig::without_faults(20.0), &env, &[])
                .await?;
        let api = &server.api;
        let admin = Browser::new(Ipv4Addr::LOCALHOST, api.port, &api.cookie)?;
        let title = format!("sign-in races, {rounds} rounds each");
        let mut report = Report::new(title, HostInfo::collect(server.folder()));
        for (n, (end, what)) in (1..).zip([
            (SessionEnd::PasswordChange, "sessions that outlive a change"),
            (SessionEnd::PasswordReset, "sessions that outlive a reset"),
            (SessionEnd::AccountDisabled, "sessions that outlive a disabling"),
        ]) {
            let found = run_race(&admin, api.port, n, end, rounds).await?;
            let detail = format!(
                "{} of {} sign-ins opened one, {} are left",
                found.sessions_opened,
                rounds * 4,
                found.sessions_left
            );
            report.add_check(what, found.sessions_left == 0, detail);
        }
        let (sent, carried_out) = run_late_requests(&admin, api.port, rounds).await?;
        let detail = format!("{carried_out} of {sent} requests were carried out");
        report.add_check("requests carried out after disabling", carried_out == 0, detail);
        Ok(report)
    }
}

/// Returns a different address for each round and client, because one address may
/// fail ten times per quarter of an hour.
fn client_address(race: u8, round: u32, client: usize) -> anyhow::Result<Ipv4Addr> {
    let n = round.checked_mul(8).context("too many rounds")? + u32::try_from(client)?;
    let [_, high, middle, low] = n.to_be_bytes();
    ensure!(high < 16, "too many rounds");
    Ok(Ipv4Addr::new(127, 16 * race + high, middle, low))
}

async fn run_race(
    admin: &Browser,
    port: u16,
    number: u8,
    end: SessionEnd,
    rounds: u32,
) -> anyhow::Result<RaceResult> {
    let email = format!("race-{number}@example.com");
    let mut owner = Browser::new(client_address(number, 0, 7)?, port, "")?;
    owner.cookies = admin.invite_user(&email, "user", PASSWORD).await?;
    let id = admin.user_id(&email).await?;
    let (mut found, mut password) = (RaceResult::default(), PASSWORD.to_owned());
    for round in 0..rounds {
        let new = format!("{PASSWORD} {round}");
        let clients: Vec<_> = (0..CONCURRENT_SIGN_INS)
            .map(|n| Browser::new(client_address(number, round, n)?, port, ""))
            .collect::<Result<_, _>>()?;
        let sign_ins = clients.iter().map(async |client| {
            sleep(Duration::from_millis(rand::random_range(0..MAX_DELAY_MS))).await;
            client.sign_in(&email, &password).await
        });
        let ends = async {
            sleep(Duration::from_millis(rand::random_range(0..MAX_DELAY_MS))).await;
            match end {
                SessionEnd::PasswordChange => {
                    let form = [("old", password.as_str()), ("new", new.as_str())];
                    let page = "/account?saved=password";
                    owner.submit_form_to("/account/password", &form, page).await?;
                    anyhow::Ok(None)
                }
                SessionEnd::PasswordReset => {
                    let path = format!("/people/{id}/reset");
                    let made = admin.submit_form_to(&path, &[], "/people").await?;
                    Ok(Some(admin.redeem_link(&made, "reset", &new).await?))
                }
                SessionEnd::AccountDisabled => {
                    let path = format!("/people/{id}/disable");
                    admin.submit_form_to(&path, &[], "/people").await?;
                    Ok(None)
                }
            }
        };
        let (answers, signed_in) = tokio::try_join!(try_join_all(sign_ins), ends)?;
        if end == SessionEnd::AccountDisabled {
            // A session that is still there is unusable until the account is enabled.
            admin.submit_form_to(&format!("/people/{id}/enable"), &[], "/people").await?;
        } else {
            password = new;
        }
        for answer in answers {
            match answer.status().as_u16() {
                204 => {
                    found.sessions_opened += 1;
                    let late = Browser::new(Ipv4Addr::LOCALHOST, port, &response_cookies(&answer))?;
                    found.sessions_left += u32::from(late.is_signed_in().await?);
                }
                401 => {}
                status => bail!("round {round}: a sign-in is answered {status}"),
            }
        }
        // A successful sign-in resets the failures of this round.
        let again = Browser::new(client_address(number, round, 6)?, port, "")?;
        let again = again.sign_in(&email, &password).await?;
        ensure!(again.status() == 204, "round {round}: the user can't sign in");
        if let Some(cookies) = signed_in {
            owner.cookies = cookies;
        } else if end == SessionEnd::AccountDisabled {
            owner.cookies = response_cookies(&again);
        }
        ensure!(owner.is_signed_in().await?, "round {round}: the owner is signed out");
    }
    Ok(found)
}

/// Sends requests that begin before their user is disabled and end afterwards.
/// Returns how many there were, and how many changed something.
async fn run_late_requests(admin: &Browser, port: u16, rounds: u32) -> anyhow::Result<(u32, u32)> {
    let email = "acts@example.com";
    let mut bob = Browser::new(Ipv4Addr::new(127, 112, 0, 1), port, "")?;
    bob.cookies = admin.invite_user(email, "admin", PASSWORD).await?;
    let id = admin.user_id(email).await?;
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let token = serde_json::json!({ "name": "late", "password": PASSWORD }).to_string();
    let file = "sku,title,price\nA,Lamp,1\n";
    let (mut sent, mut carried_out) = (0, 0);
    for round in 0..rounds {
        let slow = [
            bob.begin_slow_request("/api/v1/jobs/product-uploads?channels=acme", "text/csv", file)
                .await?,
            bob.begin_slow_request("/api/v1/tokens", json, &token).await?,
            bob.begin_slow_request("/people", form, "email=eve%40example.com&role=admin").await?,
        ];
        admin.submit_form_to(&format!("/people/{id}/disable"), &[], "/people").await?;
        for slow in slow {
            sent += 1;
            let head = slow.finish().await?;
            let refused = head.starts_with("HTTP/1.1 401")
                || (head.starts_with("HTTP/1.1 303") && head.contains("?problem="));
            carried_out += u32::from(!refused);
        }
        admin.submit_form_to(&format!("/people/{id}/enable"), &[], "/people").await?;
        let again = Browser::new(client_address(7, round, 1)?, port, "")?;
        let again = again.sign_in(email, PASSWORD).await?;
        ensure!(again.status() == 204, "round {round}: the user can't sign in");
        bob.cookies = response_cookies(&again);
    }
    // The responses are not enough: nothing may have been stored either.
    for path in ["/api/v1/jobs", "/api/v1/tokens"] {
        let (status, text) = bob.get(path).await?;
        ensure!(status == 200, "{path} is answered {status}");
        carried_out += u32::from(!text.contains(r#""items":[]"#));
    }
    carried_out += u32::from(admin.get("/people").await?.1.contains("eve@example.com"));
    Ok((sent, carried_out))
}
