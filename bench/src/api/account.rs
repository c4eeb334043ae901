//! The sandbox's EC2 and CloudWatch as the account's owner asks them, in
//! AWS's Query protocol and past the product.

use super::{Api, expect};
use anyhow::Context;
use reqwest::StatusCode;
use std::collections::BTreeMap;

/// As the ledger and the sandbox's paths call the two.
pub const EC2: &str = "ec2";
pub const CLOUDWATCH: &str = "cloudwatch";

impl Api {
    /// As EC2 names the states of all machines, by id.
    pub async fn machine_states(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let body = self.ask(EC2, "2016-11-15", "DescribeInstances", &[]).await?;
        states(&body)
    }

    /// Asks EC2 to stop machines, of which none may be starting.
    pub async fn stop_machines(&self, ids: &[&str]) -> anyhow::Result<()> {
        self.ask(EC2, "2016-11-15", "StopInstances", ids).await.map(|_| ())
    }

    /// The machines that CloudWatch's alarms watch, one for each alarm.
    pub async fn watched_machines(&self) -> anyhow::Result<Vec<String>> {
        let body = self.ask(CLOUDWATCH, "2010-08-01", "DescribeAlarms", &[]).await?;
        // The only dimension that the product gives an alarm is its machine.
        Ok(each(&body, "Value").map(str::to_owned).collect())
    }

    async fn ask(
        &self,
        service: &str,
        version: &str,
        action: &str,
        ids: &[&str],
    ) -> anyhow::Result<String> {
        let names: Vec<_> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let mut form = vec![("Action", action), ("Version", version)];
        form.extend(names.iter().map(String::as_str).zip(ids.iter().copied()));
        let url = format!("http://127.0.0.1:{}/{service}", self.sandbox);
        let answer = self.client.post(url).form(&form).send().await?;
        Ok(expect(answer, StatusCode::OK).await?.text().await?)
    }
}

/// A machine's state is the first name behind its id.
fn states(described: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let machines = described.split("<instanceId>").skip(1).map(|machine| {
        let id = machine.split('<').next().unwrap_or_default();
        let state = each(machine, "name").next();
        let state = state.with_context(|| format!("EC2 tells no state of {id}"))?;
        Ok((id.to_owned(), state.to_owned()))
    });
    machines.collect()
}

/// The text of each element of that name; it holds no others.
fn each<'a>(xml: &'a str, element: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{element}>");
    let texts: Vec<_> = xml.split(open.as_str()).skip(1).collect();
    texts.into_iter().map(|text| text.split('<').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_its_machines_own() {
        let machine = |id: &str, state: &str| {
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>{state}\
                 </name></instanceState><tagSet><item><key>Name</key><value>web</value></item>\
                 </tagSet></item>"
            )
        };
        let both = machine("i-1", "running") + &machine("i-2", "stopped");
        let expected = [("i-1", "running"), ("i-2", "stopped")];
        let expected = expected.map(|(id, state)| (id.to_owned(), state.to_owned()));
        assert_eq!(states(&both).unwrap(), BTreeMap::from(expected));
        assert!(states("<instanceId>i-1</instanceId>").is_err());
    }
}
