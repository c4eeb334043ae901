//! Sign-ins and slow requests at the moment in which a password is changed or
//! reset, or an account is disabled: no session outlives its password, and
//! nothing is done for somebody who is disabled.

use crate::{
    api::PASSWORD,
    browser::{Browser, cookies},
    machine::Machine,
    process::{Meanwhile, Outside},
    report::Report,
};
use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use std::{net::Ipv4Addr, path::Path, time::Duration};
use tokio::time::sleep;

/// Sign-ins that are under way in each round.
const AT_ONCE: usize = 4;
/// Sign-ins begin up to this time after what ends their password, ms.
const SPREAD_MS: u64 = 60;

#[derive(clap::Args)]
pub struct SignInRaces {
    /// Rounds of each race.
    #[arg(long, default_value_t = 1_000)]
    rounds: u32,
    /// URL of the database; SQLite in a folder of its own without it.
    #[arg(long)]
    database: Option<String>,
}

/// What ends the sessions of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Change,
    Reset,
    Disable,
}

/// What a race found.
#[derive(Default)]
struct Found {
    /// Sign-ins that were answered with a session.
    opened: u32,
    /// Sessions that still opened something afterwards.
    left: u32,
}

impl SignInRaces {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { rounds, database } = self;
        let variables: Vec<_> =
            database.map(|url| ("MEANWHILE_DATABASE", url)).into_iter().collect();
        let meanwhile = Meanwhile::start_with(binary, Outside::calm(20.0), &variables, &[]).await?;
        let api = &meanwhile.api;
        let admin = Browser::new(Ipv4Addr::LOCALHOST, api.port, &api.cookie)?;
        let title = format!("sign-in races, {rounds} rounds each");
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));
        for (n, (end, what)) in (1..).zip([
            (End::Change, "sessions that outlive a change"),
            (End::Reset, "sessions that outlive a reset"),
            (End::Disable, "sessions that outlive a disabling"),
        ]) {
            let found = race(&admin, api.port, n, end, rounds).await?;
            let detail = format!(
                "{} of {} sign-ins opened one, {} are left",
                found.opened,
                rounds * 4,
                found.left
            );
            report.check(what, found.left == 0, detail);
        }
        let (asked, done) = acts(&admin, api.port, rounds).await?;
        let detail = format!("{done} of {asked} were carried out");
        report.check("acts after disabling", done == 0, detail);
        Ok(report)
    }
}

/// Another address for each round and client: one address may fail ten times a
/// quarter of an hour.
fn address(race: u8, round: u32, client: usize) -> anyhow::Result<Ipv4Addr> {
    let n = round.checked_mul(8).context("too many rounds")? + u32::try_from(client)?;
    let [_, high, middle, low] = n.to_be_bytes();
    ensure!(high < 16, "too many rounds");
    Ok(Ipv4Addr::new(127, 16 * race + high, middle, low))
}

async fn race(
    admin: &Browser,
    port: u16,
    number: u8,
    end: End,
    rounds: u32,
) -> anyhow::Result<Found> {
    let email = format!("race-{number}@example.com");
    let mut owner = Browser::new(address(number, 0, 7)?, port, "")?;
    owner.cookies = admin.invite(&email, "user", PASSWORD).await?;
    let id = admin.person(&email).await?;
    let (mut found, mut password) = (Found::default(), PASSWORD.to_owned());
    for round in 0..rounds {
        let new = format!("{PASSWORD} {round}");
        let clients: Vec<_> = (0..AT_ONCE)
            .map(|n| Browser::new(address(number, round, n)?, port, ""))
            .collect::<Result<_, _>>()?;
        let sign_ins = clients.iter().map(async |client| {
            sleep(Duration::from_millis(rand::random_range(0..SPREAD_MS))).await;
            client.sign_in(&email, &password).await
        });
        let ends = async {
            sleep(Duration::from_millis(rand::random_range(0..SPREAD_MS))).await;
            match end {
                End::Change => {
                    let form = [("old", password.as_str()), ("new", new.as_str())];
                    let page = "/account?saved=password";
                    owner.submit_to("/account/password", &form, page).await?;
                    anyhow::Ok(None)
                }
                End::Reset => {
                    let path = format!("/people/{id}/reset");
                    let made = admin.submit_to(&path, &[], "/people").await?;
                    Ok(Some(admin.redeem(&made, "reset", &new).await?))
                }
                End::Disable => {
                    let path = format!("/people/{id}/disable");
                    admin.submit_to(&path, &[], "/people").await?;
                    Ok(None)
                }
            }
        };
        let (answers, signed_in) = tokio::try_join!(try_join_all(sign_ins), ends)?;
        if end == End::Disable {
            // A session that was left does nothing until now.
            admin.submit_to(&format!("/people/{id}/enable"), &[], "/people").await?;
        } else {
            password = new;
        }
        for answer in answers {
            match answer.status().as_u16() {
                204 => {
                    found.opened += 1;
                    let late = Browser::new(Ipv4Addr::LOCALHOST, port, &cookies(&answer))?;
                    found.left += u32::from(late.is_signed_in().await?);
                }
                401 => {}
                status => bail!("round {round}: a sign-in is answered {status}"),
            }
        }
        // The right password takes back what failed in this round.
        let again = Browser::new(address(number, round, 6)?, port, "")?;
        let again = again.sign_in(&email, &password).await?;
        ensure!(again.status() == 204, "round {round}: the person can't sign in");
        if let Some(cookies) = signed_in {
            owner.cookies = cookies;
        } else if end == End::Disable {
            owner.cookies = cookies(&again);
        }
        ensure!(owner.is_signed_in().await?, "round {round}: the owner is signed out");
    }
    Ok(found)
}

/// Requests that began before their person was disabled and end after. Returns
/// how many there were, and how many changed something.
async fn acts(admin: &Browser, port: u16, rounds: u32) -> anyhow::Result<(u32, u32)> {
    let email = "acts@example.com";
    let mut bob = Browser::new(Ipv4Addr::new(127, 112, 0, 1), port, "")?;
    bob.cookies = admin.invite(email, "admin", PASSWORD).await?;
    let id = admin.person(email).await?;
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let token = serde_json::json!({ "name": "late", "password": PASSWORD }).to_string();
    let file = "sku,title,price\nA,Lamp,1\n";
    let (mut asked, mut done) = (0, 0);
    for round in 0..rounds {
        let slow = [
            bob.begin("/api/v1/jobs/product-uploads?channels=acme", "text/csv", file).await?,
            bob.begin("/api/v1/tokens", json, &token).await?,
            bob.begin("/people", form, "email=eve%40example.com&role=admin").await?,
        ];
        admin.submit_to(&format!("/people/{id}/disable"), &[], "/people").await?;
        for slow in slow {
            asked += 1;
            let head = slow.end().await?;
            let refused = head.starts_with("HTTP/1.1 401")
                || (head.starts_with("HTTP/1.1 303") && head.contains("?problem="));
            done += u32::from(!refused);
        }
        admin.submit_to(&format!("/people/{id}/enable"), &[], "/people").await?;
        let again = Browser::new(address(7, round, 1)?, port, "")?;
        let again = again.sign_in(email, PASSWORD).await?;
        ensure!(again.status() == 204, "round {round}: the person can't sign in");
        bob.cookies = cookies(&again);
    }
    // What was answered is not all: nothing may be there either.
    for path in ["/api/v1/jobs", "/api/v1/tokens"] {
        let (status, text) = bob.get(path).await?;
        ensure!(status == 200, "{path} is answered {status}");
        done += u32::from(!text.contains(r#""items":[]"#));
    }
    done += u32::from(admin.get("/people").await?.1.contains("eve@example.com"));
    Ok((asked, done))
}
