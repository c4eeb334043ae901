//! Accounts of AWS: the file that `MEANWHILE_AWS` names.

use serde::Deserialize;
use std::{collections::HashSet, fmt, io, path::PathBuf, time::Duration};
use toml::Spanned;
use worker::connector::ec2::AlarmConfig;

/// The accounts of AWS that this installation uses.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsConfig {
    /// The accounts, in the order of the file.
    pub accounts: Vec<AwsAccount>,
}

/// An account of AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsAccount {
    /// Name and credentials.
    pub options: aws::AccountOptions,
    /// Alarm that each machine gets once it runs.
    pub alarm: AlarmConfig,
    /// Rates of the calls in each region.
    pub rates: AwsRates,
    /// Interval at which a machine that starts is polled.
    pub poll_interval: Duration,
}

/// Numbers of calls per second in one region. The defaults are AWS's own: [EC2's][ec2] refill
/// rates of the token buckets, and [CloudWatch's][cloudwatch] quota.
///
/// [ec2]: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
/// [cloudwatch]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsRates {
    /// `DescribeInstances`.
    pub describe: f64,
    /// `StartInstances`.
    pub start: f64,
    /// `StopInstances`.
    pub stop: f64,
    /// `RunInstances`.
    pub launch: f64,
    /// `PutMetricAlarm` and `DescribeAlarms`.
    pub cloudwatch: f64,
}

impl Default for AwsRates {
    fn default() -> Self {
        Self { describe: 20.0, start: 2.0, stop: 2.0, launch: 2.0, cloudwatch: 3.0 }
    }
}

/// Interval of
/// [AWS's own waiter](https://github.com/boto/botocore/blob/develop/botocore/data/ec2/2016-11-15/waiters-2.json).
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(15);

/// Why the file can't be used. The messages say where, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum AwsConfigError {
    /// The file can't be read.
    #[error("{} can't be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Reason of the operating system.
        error: io::Error,
    },
    /// The file is no TOML, or has a key that doesn't exist, or a value of the wrong type.
    #[error("{} has a mistake. {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, key, and what was expected.
        error: Box<toml::de::Error>,
    },
    /// A value can't be used.
    #[error("{}, line {line}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line of the value, from 1.
        line: usize,
        /// Key, what is wrong, and what to write.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileContent {
    account: Spanned<Vec<AccountTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    name: Spanned<String>,
    profile: Option<Spanned<String>>,
    regions: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    alarm: AlarmTable,
    rates: Option<Spanned<AwsRates>>,
    poll_s: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AlarmTable {
    name: Option<Spanned<String>>,
    metric: Option<Spanned<String>>,
    statistic: Option<Statistic>,
    comparison: Option<Comparison>,
    threshold: Option<Spanned<f64>>,
    period_s: Option<Spanned<u32>>,
    evaluation_periods: Option<Spanned<u32>>,
}

/// Statistics of [`PutMetricAlarm`][api].
///
/// [api]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
#[derive(Clone, Copy, Debug, Deserialize)]
enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
}

/// Comparisons with a fixed threshold.
#[derive(Clone, Copy, Debug, Deserialize)]
#[allow(clippy::enum_variant_names)] // The names are AWS's.
enum Comparison {
    GreaterThanOrEqualToThreshold,
    GreaterThanThreshold,
    LessThanThreshold,
    LessThanOrEqualToThreshold,
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl AwsConfig {
    /// Reads the file, as the parser of the command line.
    ///
    /// # Errors
    /// Says where the mistake is and what to write instead.
    pub fn read(path: &str) -> Result<Self, AwsConfigError> {
        let path = PathBuf::from(path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return Err(AwsConfigError::Unreadable { path, error }),
        };
        match toml::from_str(&text) {
            Ok(content) => check(content).map_err(|Mistake { at, problem }| {
                let line = text[..at.min(text.len())].matches('\n').count() + 1;
                AwsConfigError::Invalid { path, line, problem }
            }),
            Err(error) => Err(AwsConfigError::Malformed { path, error: Box::new(error) }),
        }
    }
}

/// A value that can't be used.
struct Mistake {
    /// Offset in the file, in bytes.
    at: usize,
    problem: String,
}

impl Mistake {
    fn new<T>(value: &Spanned<T>, problem: impl Into<String>) -> Self {
        Self { at: value.span().start, problem: problem.into() }
    }
}

fn check(content: FileContent) -> Result<AwsConfig, Mistake> {
    let mut names = HashSet::new();
    if content.account.get_ref().is_empty() {
        return Err(Mistake::new(&content.account, "add an account: [[account]] with a `name`"));
    }
    let accounts = content.account.into_inner().into_iter().map(|table| {
        let name = check_name(&table.name, &mut names)?;
        let options = aws::AccountOptions {
            name,
            profile: table.profile.as_ref().map(check_profile).transpose()?,
            regions: table.regions.as_ref().map(check_regions).transpose()?.unwrap_or_default(),
        };
        let rates = table.rates.as_ref().map(check_rates).transpose()?.unwrap_or_default();
        let poll_interval = table.poll_s.as_ref().map(check_poll_s).transpose()?;
        Ok(AwsAccount {
            options,
            alarm: check_alarm(table.alarm)?,
            rates,
            poll_interval: poll_interval.unwrap_or(DEFAULT_POLL_INTERVAL),
        })
    });
    Ok(AwsConfig { accounts: accounts.collect::<Result<_, _>>()? })
}

/// Checks a name, which is a part of queues and upstreams.
fn check_name(name: &Spanned<String>, names: &mut HashSet<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    let fits = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-');
    if !fits {
        let problem = format!(
            "`name` is “{text}”: use up to 32 small letters, digits and hyphens, such as \"ops\""
        );
        return Err(Mistake::new(name, problem));
    }
    if !names.insert(text.clone()) {
        let problem = format!("`name` is “{text}”, which another account has: choose another");
        return Err(Mistake::new(name, problem));
    }
    Ok(text.clone())
}

fn check_profile(profile: &Spanned<String>) -> Result<String, Mistake> {
    match profile.get_ref().trim() {
        "" => Err(Mistake::new(
            profile,
            "`profile` is empty: name a profile of ~/.aws/config, or leave the key out",
        )),
        name => Ok(name.to_owned()),
    }
}

fn check_regions(regions: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Mistake> {
    if regions.get_ref().is_empty() {
        let problem =
            "`regions` is empty: name one, such as \"eu-central-1\", or leave the key out";
        return Err(Mistake::new(regions, problem));
    }
    let mut seen = HashSet::new();
    let checked = regions.get_ref().iter().map(|region| {
        let text = region.get_ref();
        if !is_region(text) {
            let problem = format!("`regions` has “{text}”: a region is like \"eu-central-1\"");
            return Err(Mistake::new(region, problem));
        }
        if !seen.insert(text) {
            return Err(Mistake::new(region, format!("`regions` has “{text}” twice")));
        }
        Ok(text.clone())
    });
    checked.collect()
}

/// Whether a text has the shape of a region: words, then a number, with hyphens.
fn is_region(text: &str) -> bool {
    let mut parts: Vec<_> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    parts.len() >= 2
        && parts.iter().all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_rates(rates: &Spanned<AwsRates>) -> Result<AwsRates, Mistake> {
    let AwsRates { describe, start, stop, launch, cloudwatch } = *rates.get_ref();
    for (key, rate) in [
        ("describe", describe),
        ("start", start),
        ("stop", stop),
        ("launch", launch),
        ("cloudwatch", cloudwatch),
    ] {
        if !(0.01..=10_000.0).contains(&rate) {
            let problem =
                format!("`rates.{key}` is {rate}: use calls per second, from 0.01 to 10000");
            return Err(Mistake::new(rates, problem));
        }
    }
    Ok(*rates.get_ref())
}

fn check_poll_s(seconds: &Spanned<u64>) -> Result<Duration, Mistake> {
    match *seconds.get_ref() {
        seconds @ 1..=300 => Ok(Duration::from_secs(seconds)),
        other => {
            let problem = format!("`poll_s` is {other}: use seconds, from 1 to 300");
            Err(Mistake::new(seconds, problem))
        }
    }
}

fn check_alarm(table: AlarmTable) -> Result<AlarmConfig, Mistake> {
    let default = AlarmConfig::default();
    let number = |value: &Option<Spanned<u32>>, default: u32| {
        value.as_ref().map_or(default, |value| *value.get_ref())
    };
    let alarm = AlarmConfig {
        name: match &table.name {
            Some(name) => check_alarm_name(name)?,
            None => default.name,
        },
        metric: match &table.metric {
            Some(metric) if metric.get_ref().trim().is_empty() => {
                let problem = "`alarm.metric` is empty: name one of AWS/EC2, such as \
                               \"CPUUtilization\"";
                return Err(Mistake::new(metric, problem));
            }
            Some(metric) => metric.get_ref().clone(),
            None => default.metric,
        },
        statistic: table.statistic.map_or(default.statistic, |it| it.to_string()),
        comparison: table.comparison.map_or(default.comparison, |it| it.to_string()),
        threshold: match &table.threshold {
            Some(value) if !value.get_ref().is_finite() => {
                return Err(Mistake::new(value, "`alarm.threshold` must be a number"));
            }
            Some(value) => *value.get_ref(),
            None => default.threshold,
        },
        period_s: number(&table.period_s, default.period_s),
        evaluation_periods: number(&table.evaluation_periods, default.evaluation_periods),
    };
    check_periods(&table, &alarm)?;
    Ok(alarm)
}

/// Checks what `PutMetricAlarm` demands of the periods.
fn check_periods(table: &AlarmTable, alarm: &AlarmConfig) -> Result<(), Mistake> {
    const DAY_S: u32 = 86_400;
    if let Some(period) = &table.period_s
        && (alarm.period_s == 0 || !alarm.period_s.is_multiple_of(60) || alarm.period_s > DAY_S)
    {
        let problem =
            format!("`alarm.period_s` is {}: use a multiple of 60, up to {DAY_S}", alarm.period_s);
        return Err(Mistake::new(period, problem));
    }
    let total_s = alarm.period_s.saturating_mul(alarm.evaluation_periods);
    if let Some(value) = table.evaluation_periods.as_ref().or(table.period_s.as_ref())
        && !(1..=DAY_S).contains(&total_s)
    {
        let problem = format!(
            "`alarm.evaluation_periods` is {}: use at least 1, and at most a day together with \
             `alarm.period_s`",
            alarm.evaluation_periods
        );
        return Err(Mistake::new(value, problem));
    }
    Ok(())
}

/// Checks the template of an alarm's name.
fn check_alarm_name(name: &Spanned<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    let rest = text.replace("{id}", "").replacen("{name}", "", 1);
    let problem = if rest.contains(['{', '}']) {
        "only {id} and, once, {name} are replaced; leave other braces out"
    } else if !text.contains("{id}") {
        "add {id}, so that each machine has an alarm of its own"
    } else if text.chars().count() > 200 || text.chars().any(char::is_control) {
        "use at most 200 characters, and no line breaks"
    } else {
        return Ok(text.clone());
    };
    Err(Mistake::new(name, format!("`alarm.name` is “{text}”: {problem}")))
}

#[cfg(test)]
mod tests;
