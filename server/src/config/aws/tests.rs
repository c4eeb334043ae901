#![allow(clippy::unwrap_used)]
use super::*;

fn read(text: &str) -> Result<AwsConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aws.toml");
    std::fs::write(&path, text).unwrap();
    AwsConfig::read(path.to_str().unwrap()).map_err(|error| {
        let words = error.to_string();
        assert!(words.starts_with(path.to_str().unwrap()), "{words}");
        words
    })
}

#[test]
fn an_account_needs_only_a_name() {
    let config = read("[[account]]\nname = \"ops\"\n").unwrap();
    let expected = AwsAccount {
        options: aws::AccountOptions { name: "ops".into(), profile: None, regions: Vec::new() },
        alarm: AlarmConfig::default(),
        rates: AwsRates::default(),
        poll_interval: Duration::from_secs(15),
    };
    assert_eq!(config.accounts, [expected]);
}

#[test]
fn accounts_have_their_own_regions_alarms_and_rates() {
    let config = read(
        r#"
        [[account]]
        name = "ops"
        profile = "ops-admin"
        regions = ["eu-central-1", "us-gov-west-1"]
        [account.alarm]
        name = "cpu/{id}"
        metric = "CPUUtilization"
        statistic = "Average"
        comparison = "GreaterThanThreshold"
        threshold = 90
        period_s = 300
        evaluation_periods = 3

        [[account]]
        name = "shop-2"
        rates = { start = 5 }
        poll_s = 5
        "#,
    )
    .unwrap();
    let [ops, shop] = config.accounts.as_slice() else { panic!("{config:?}") };
    assert_eq!(ops.options.profile.as_deref(), Some("ops-admin"));
    assert_eq!(ops.options.regions, ["eu-central-1", "us-gov-west-1"]);
    let alarm = AlarmConfig {
        name: "cpu/{id}".into(),
        metric: "CPUUtilization".into(),
        statistic: "Average".into(),
        comparison: "GreaterThanThreshold".into(),
        threshold: 90.0,
        period_s: 300,
        evaluation_periods: 3,
    };
    assert_eq!((&ops.alarm, ops.rates), (&alarm, AwsRates::default()));
    assert_eq!(shop.rates, AwsRates { start: 5.0, ..AwsRates::default() });
    assert_eq!(shop.poll_interval, Duration::from_secs(5));
}

#[test]
fn each_mistake_is_named_with_its_line_and_what_to_write() {
    for (text, expected) in [
        ("", &["missing field `account`"][..]),
        ("account = []", &["line 1", "[[account]]"]),
        ("[[account]]\nname = ops", &["line 2", "name = ops"]),
        ("[[account]]\nname = 7", &["line 2", "expected a string"]),
        ("[[account]]\nprofile = \"ops\"", &["line 1", "missing field `name`"]),
        ("[[account]]\nname = \"ops\"\nregion = \"x\"", &["line 3", "`region`", "`regions`"]),
        ("[[account]]\nname = \"My Ops\"", &["line 2", "`name`", "small letters"]),
        ("[[account]]\nname = \"\"", &["line 2", "`name`"]),
        ("[[account]]\nname = \"a\"\n[[account]]\nname = \"a\"", &["line 4", "another account"]),
        ("[[account]]\nname = \"a\"\nprofile = \" \"", &["line 3", "`profile`", "leave"]),
        ("[[account]]\nname = \"a\"\nregions = []", &["line 3", "`regions`", "eu-central-1"]),
        (
            "[[account]]\nname = \"a\"\nregions = [\n\"eu-central-1\",\n\"Frankfurt\"]",
            &["line 5", "“Frankfurt”", "eu-central-1"],
        ),
        (
            "[[account]]\nname = \"a\"\nregions = [\"eu-central-1\", \"eu-central-1\"]",
            &["line 3", "twice"],
        ),
        ("[[account]]\nname = \"a\"\nregions = \"eu-central-1\"", &["line 3", "sequence"]),
        ("[[account]]\nname = \"a\"\nalarm.name = \"x\"", &["line 3", "`alarm.name`", "{id}"]),
        (
            "[[account]]\nname = \"a\"\nalarm.name = \"{id}-{zone}\"",
            &["line 3", "only {id} and, once, {name}"],
        ),
        ("[[account]]\nname = \"a\"\nalarm.metric = \"\"", &["line 3", "CPUUtilization"]),
        ("[[account]]\nname = \"a\"\nalarm.statistic = \"Max\"", &["line 3", "`Max`", "`Maximum`"]),
        (
            "[[account]]\nname = \"a\"\nalarm.comparison = \">\"",
            &["line 3", "`GreaterThanThreshold`"],
        ),
        ("[[account]]\nname = \"a\"\nalarm.threshold = nan", &["line 3", "`alarm.threshold`"]),
        ("[[account]]\nname = \"a\"\nalarm.period_s = 90", &["line 3", "a multiple of 60"]),
        (
            "[[account]]\nname = \"a\"\nalarm.evaluation_periods = 0",
            &["line 3", "`alarm.evaluation_periods`", "at least 1"],
        ),
        (
            "[[account]]\nname = \"a\"\nalarm.evaluation_periods = 5000",
            &["line 3", "at most a day"],
        ),
        ("[[account]]\nname = \"a\"\nalarm.treshold = 1", &["line 3", "`threshold`"]),
        ("[[account]]\nname = \"a\"\nrates.start = 0", &["line 3", "`rates.start`", "0.01"]),
        ("[[account]]\nname = \"a\"\npoll_s = 0", &["line 3", "`poll_s`", "from 1 to 300"]),
        ("[[account]]\nname = \"a\"\nrates.stat = 1", &["line 3", "`start`"]),
    ] {
        let words = read(text).unwrap_err();
        for part in expected {
            assert!(words.contains(part), "{text:?} lacks {part:?}: {words}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let words = AwsConfig::read("/nowhere/aws.toml").unwrap_err().to_string();
    assert!(words.starts_with("/nowhere/aws.toml can't be read: "), "{words}");
}
