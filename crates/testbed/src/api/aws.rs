//! A client of the sandbox's EC2 and CloudWatch in AWS's Query protocol, which
//! bypasses Meanwhile.

use super::{ApiClient, expect_status};
use anyhow::Context;
use reqwest::StatusCode;
use std::collections::BTreeMap;

/// Name of EC2 in the ledger and in the sandbox's paths.
pub const EC2: &str = "ec2";
/// Name of CloudWatch in the ledger and in the sandbox's paths.
pub const CLOUDWATCH: &str = "cloudwatch";

impl ApiClient {
    /// Returns EC2's state names of all instances, by id.
    pub async fn instance_states(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let body = self.call_aws(EC2, "2016-11-15", "DescribeInstances", &[]).await?;
        parse_instance_states(&body)
    }

    /// Stops instances, none of which may be starting.
    pub async fn stop_instances(&self, ids: &[&str]) -> anyhow::Result<()> {
        self.call_aws(EC2, "2016-11-15", "StopInstances", ids).await.map(|_| ())
    }

    /// Returns the instance of each CloudWatch alarm.
    pub async fn instances_with_alarms(&self) -> anyhow::Result<Vec<String>> {
        let body = self.call_aws(CLOUDWATCH, "2010-08-01", "DescribeAlarms", &[]).await?;
        // Meanwhile gives each alarm one dimension: its instance.
        Ok(element_texts(&body, "Value").map(str::to_owned).collect())
    }

    async fn call_aws(
        &self,
        service: &str,
        version: &str,
        action: &str,
        ids: &[&str],
    ) -> anyhow::Result<String> {
        let names: Vec<_> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let mut form = vec![("Action", action), ("Version", version)];
        form.extend(names.iter().map(String::as_str).zip(ids.iter().copied()));
        let url = format!("http://127.0.0.1:{}/{service}", self.sandbox_port);
        let answer = self.client.post(url).form(&form).send().await?;
        Ok(expect_status(answer, StatusCode::OK).await?.text().await?)
    }
}

/// Parses the state of each instance: the first `name` element after its id.
fn parse_instance_states(described: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let states = described.split("<instanceId>").skip(1).map(|instance| {
        let id = instance.split('<').next().unwrap_or_default();
        let state = element_texts(instance, "name").next();
        let state = state.with_context(|| format!("EC2's response has no state of {id}"))?;
        Ok((id.to_owned(), state.to_owned()))
    });
    states.collect()
}

/// Returns the text of each element named `element`, which has no child elements.
fn element_texts<'a>(xml: &'a str, element: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{element}>");
    let texts: Vec<_> = xml.split(open.as_str()).skip(1).collect();
    texts.into_iter().map(|text| text.split('<').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_gets_its_own_state() {
        let instance = |id: &str, state: &str| {
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>{state}\
                 </name></instanceState><tagSet><item><key>Name</key><value>web</value></item>\
                 </tagSet></item>"
            )
        };
        let response = instance("i-1", "running") + &instance("i-2", "stopped");
        let expected = [("i-1", "running"), ("i-2", "stopped")];
        let expected = expected.map(|(id, state)| (id.to_owned(), state.to_owned()));
        assert_eq!(parse_instance_states(&response).unwrap(), BTreeMap::from(expected));
        assert!(parse_instance_states("<instanceId>i-1</instanceId>").is_err());
    }
}
