//! The [Query protocol]: signed, form-encoded POST requests; XML back.
//!
//! [Query protocol]: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html

use crate::{
    Error,
    credentials::CredentialsCache,
    endpoint::Service,
    error::{ErrorContext, error_for_response},
};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningInstructions, SigningSettings, sign},
    sign::v4,
};
use serde::de::DeserializeOwned;
use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};
use tls::TlsFailure;
use url::Url;

/// Maximum size of a response, in bytes. A description of 1,000 machines, the largest page,
/// takes some 6 MB.
const MAX_RESPONSE_BYTES: usize = 32 << 20;
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Parameters of a request, in the order in which they are sent.
pub(crate) type Params<'a> = Vec<(Cow<'static, str>, Cow<'a, str>)>;

/// Client of EC2 and CloudWatch of one account in one region; cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<ClientShared>,
    pub(crate) http_client: reqwest::Client,
    /// Value of the header `traceparent`, which no signature covers.
    pub(crate) traceparent: Option<String>,
}

pub(crate) struct ClientShared {
    pub account: String,
    pub profile: Option<String>,
    pub region: String,
    pub ec2_url: Url,
    pub cloudwatch_url: Url,
    pub credentials: Arc<CredentialsCache>,
}

impl fmt::Debug for Client {
    /// Shows everything but the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("account", &self.shared.account)
            .field("region", &self.shared.region)
            .field("ec2_url", &self.shared.ec2_url.as_str())
            .field("cloudwatch_url", &self.shared.cloudwatch_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Returns the name of the account in the configuration.
    pub fn account(&self) -> &str {
        &self.shared.account
    }

    /// Returns the region, such as `eu-central-1`.
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// Returns why no call of the account can succeed at the moment, if the last one failed
    /// because of its credentials.
    pub fn credentials_fault(&self) -> Option<Error> {
        self.shared.credentials.last_fault()
    }

    /// Returns the client with another HTTP client, which may have another timeout.
    #[must_use]
    pub fn with_http_client(&self, http_client: reqwest::Client) -> Self {
        Self { http_client, ..self.clone() }
    }

    /// Returns the client with a header `traceparent` on its requests
    /// ([W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header)).
    #[must_use]
    pub fn with_traceparent(&self, traceparent: String) -> Self {
        Self { traceparent: Some(traceparent), ..self.clone() }
    }

    /// Sends a request, and returns the body of the response. Credentials that AWS does not
    /// accept are loaded again once.
    pub(crate) async fn send(
        &self,
        service: Service,
        action: &str,
        params: &Params<'_>,
    ) -> Result<String, Error> {
        let body = form_body(service, action, params);
        let result = self.send_body(service, action, &body).await;
        self.shared.credentials.record(&result);
        result
    }

    async fn send_body(&self, service: Service, action: &str, body: &str) -> Result<String, Error> {
        let credentials = self.shared.credentials.get().await?;
        let refused = match self.send_signed(service, action, body, &credentials).await {
            Err(error @ Error::Credentials { .. }) => error,
            result => return result,
        };
        match self.shared.credentials.replace(&credentials).await? {
            Some(credentials) => self.send_signed(service, action, body, &credentials).await,
            None => Err(refused),
        }
    }

    async fn send_signed(
        &self,
        service: Service,
        action: &str,
        body: &str,
        credentials: &Credentials,
    ) -> Result<String, Error> {
        let url = match service {
            Service::Ec2 => &self.shared.ec2_url,
            Service::CloudWatch => &self.shared.cloudwatch_url,
        };
        let signature = self
            .signature(service, url, body, credentials)
            .ok_or_else(|| self.signing_error(service))?;
        let mut request = self
            .http_client
            .post(url.clone())
            .header(reqwest::header::CONTENT_TYPE, CONTENT_TYPE)
            .body(body.to_owned());
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response =
            request.send().await.map_err(|error| self.transport_error(service, &error))?;
        let status = response.status().as_u16();
        let text = self.read_body(service, response).await?;
        if status == 200 {
            return Ok(text);
        }
        Err(error_for_response(self.error_context(service, action), status, &text))
    }

    fn signature(
        &self,
        service: Service,
        url: &Url,
        body: &str,
        credentials: &Credentials,
    ) -> Option<SigningInstructions> {
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.shared.region)
            .name(service.signing_name())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let headers = std::iter::once(("content-type", CONTENT_TYPE));
        let body = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new("POST", url.as_str(), headers, body).ok()?;
        Some(sign(request, &params).ok()?.into_parts().0)
    }

    async fn read_body(
        &self,
        service: Service,
        mut response: reqwest::Response,
    ) -> Result<String, Error> {
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.transport_error(service, &error))?
        {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                let name = service.name();
                let message = format!("{name} answered with more than {MAX_RESPONSE_BYTES} bytes.");
                return Err(Error::temporary("response_too_large", message, true));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn error_context<'a>(&'a self, service: Service, action: &'a str) -> ErrorContext<'a> {
        let ClientShared { account, profile, region, .. } = &*self.shared;
        ErrorContext { service, action, account, profile: profile.as_deref(), region }
    }

    /// Returns the error for a call without a response: unless it was never sent, it may have
    /// had its effect.
    fn transport_error(&self, service: Service, error: &reqwest::Error) -> Error {
        let (name, region) = (service.name(), &self.shared.region);
        let outcome_unknown = !error.is_connect();
        let (code, message) = if let Some(failure) = TlsFailure::find(error) {
            let message = format!("{name} in {region} can't be reached over TLS: {failure}.");
            if failure.is_refused_certificate() {
                return Error::Certificate { code: "certificate_refused".into(), message };
            }
            ("tls", message)
        } else if error.is_timeout() {
            ("timeout", format!("{name} in {region} did not answer in time."))
        } else if outcome_unknown {
            (
                "connection_dropped",
                format!("{name} in {region} closed the connection before it answered."),
            )
        } else {
            ("unreachable", format!("{name} in {region} can't be reached."))
        };
        Error::temporary(code, message, outcome_unknown)
    }

    fn signing_error(&self, service: Service) -> Error {
        let message = format!(
            "A request to {} could not be signed with the credentials of the account “{}”: they \
             contain characters that no header may have.",
            service.name(),
            self.shared.account
        );
        Error::Credentials { code: "unusable_credentials".into(), message }
    }
}

fn form_body(service: Service, action: &str, params: &Params<'_>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", service.api_version())
        .extend_pairs(params)
        .finish()
}

/// Parses the body of a successful response. `outcome_unknown` says whether the call changes
/// something, so that nobody knows what it has done.
pub(crate) fn parse<T: DeserializeOwned>(
    service: Service,
    xml: &str,
    outcome_unknown: bool,
) -> Result<T, Error> {
    quick_xml::de::from_str(xml).map_err(|error| {
        let message = format!("{}'s response can't be read: {error}.", service.name());
        Error::temporary("unreadable_response", message, outcome_unknown)
    })
}
