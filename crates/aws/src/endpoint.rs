//! URLs of EC2 and CloudWatch in a region.

use aws_types::{SdkConfig, service_config::ServiceConfigKey};
use url::Url;

/// A service that this crate calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    CloudWatch,
}

impl Service {
    /// Returns the name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::CloudWatch => "CloudWatch",
        }
    }

    /// Returns the name in the scope of a signature.
    pub fn signing_name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::CloudWatch => "monitoring",
        }
    }

    /// Returns the name in an IAM action, such as `ec2:StartInstances`.
    pub fn iam_prefix(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::CloudWatch => "cloudwatch",
        }
    }

    /// Returns the version of the Query protocol.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::CloudWatch => "2010-08-01",
        }
    }

    /// Returns AWS's id, from which the names of variables and sections are derived, such as
    /// `AWS_ENDPOINT_URL_EC2`.
    fn service_id(self) -> &'static str {
        self.name()
    }
}

/// Returns the configured URL of a service: that of the service before that of all services,
/// and the environment before the profile. See [service-specific endpoints][endpoints].
///
/// [endpoints]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
pub(crate) fn configured_url(config: &SdkConfig, service: Service) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service.service_id())
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = config.service_config().and_then(|settings| settings.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Returns AWS's URL of a service in a region, as the endpoint rules of both services have it
/// (botocore's `endpoint-rule-set-1.json` and `partitions.json`).
pub(crate) fn default_url(
    service: Service,
    region: &str,
    use_fips: bool,
    use_dual_stack: bool,
) -> String {
    let name = service.signing_name();
    let fips = if use_fips { "-fips" } else { "" };
    let domain = match (region, use_dual_stack) {
        (region, false) if region.starts_with("cn-") => "amazonaws.com.cn",
        (region, true) if region.starts_with("cn-") => "api.amazonwebservices.com.cn",
        (region, false) if region.starts_with("eusc-") => "amazonaws.eu",
        (region, true) if region.starts_with("eusc-") => "api.amazonwebservices.eu",
        (_, true) => "api.aws",
        (_, false) => "amazonaws.com",
    };
    // GovCloud has the same host names with and without FIPS.
    let fips = if region.starts_with("us-gov-") && !use_dual_stack { "" } else { fips };
    format!("https://{name}{fips}.{region}.{domain}/")
}

/// Parses the URL of an endpoint.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.host().is_some() => Ok(url),
        _ => Err("it must begin with https:// or http://".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_region_has_its_own_hosts() {
        for (service, region, fips, dual, expected) in [
            (Service::Ec2, "eu-west-1", false, false, "https://ec2.eu-west-1.amazonaws.com/"),
            (
                Service::CloudWatch,
                "us-east-1",
                false,
                false,
                "https://monitoring.us-east-1.amazonaws.com/",
            ),
            (Service::Ec2, "cn-north-1", false, false, "https://ec2.cn-north-1.amazonaws.com.cn/"),
            (Service::Ec2, "us-east-1", true, false, "https://ec2-fips.us-east-1.amazonaws.com/"),
            (Service::Ec2, "eu-west-1", false, true, "https://ec2.eu-west-1.api.aws/"),
            (
                Service::Ec2,
                "us-gov-west-1",
                true,
                false,
                "https://ec2.us-gov-west-1.amazonaws.com/",
            ),
            (
                Service::Ec2,
                "eusc-de-east-1",
                false,
                false,
                "https://ec2.eusc-de-east-1.amazonaws.eu/",
            ),
        ] {
            let url = default_url(service, region, fips, dual);
            assert_eq!(url, expected);
            assert!(parse_url(&url).is_ok());
        }
    }

    #[test]
    fn only_web_addresses_are_endpoints() {
        for text in ["localhost:5000", "file:///etc/passwd", "ec2.example", ""] {
            assert!(parse_url(text).is_err(), "{text}");
        }
        assert_eq!(parse_url("http://127.0.0.1:5000").unwrap().as_str(), "http://127.0.0.1:5000/");
    }
}
