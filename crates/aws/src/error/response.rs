//! Error responses of the Query protocol, and the error that each code means.

use super::Error;
use crate::endpoint::Service;
use serde::Deserialize;

/// What the words of an error name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorContext<'a> {
    pub service: Service,
    /// Action of the request, such as `StartInstances`.
    pub action: &'a str,
    /// Name of the account in the configuration.
    pub account: &'a str,
    /// Profile of the account, if it has one of its own.
    pub profile: Option<&'a str>,
    pub region: &'a str,
}

/// Where the message of a denial continues with data for `DecodeAuthorizationMessage`, which
/// may be kilobytes.
const ENCODED_DETAILS: &str = "Encoded authorization failure message:";

/// EC2 wraps an error in a list, CloudWatch does not.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse {
    errors: Option<ErrorList>,
    error: Option<AwsError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorList {
    error: AwsError,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AwsError {
    code: String,
    #[serde(default)]
    message: String,
}

/// Returns the error of a response with an error status. Its XML names the error; without
/// XML, which only a gateway sends, the status decides.
pub(crate) fn error_for_response(context: ErrorContext<'_>, status: u16, body: &str) -> Error {
    let parsed = quick_xml::de::from_str::<ErrorResponse>(body).ok();
    let error = parsed.and_then(|response| response.error.or(response.errors.map(|it| it.error)));
    match error {
        Some(AwsError { code, message }) => error_for_code(context, status, code, message.trim()),
        None => error_for_status(context, status),
    }
}

fn error_for_code(context: ErrorContext<'_>, status: u16, code: String, text: &str) -> Error {
    let service = context.service.name();
    let said = || match text.is_empty() {
        true => format!("{service} answered {code}."),
        false => format!("{service}: {text}"),
    };
    match code.as_str() {
        code if is_throttling(code) => {
            let (action, region) = (context.action, context.region);
            let message = format!(
                "{service} in {region} is busy with other calls of {action} and asked us to wait."
            );
            Error::Throttled { code: code.into(), message }
        }
        code if is_clock_fault(code, text) => Error::Credentials {
            code: code.into(),
            message: "AWS refused a signature because of its time: the clock of the server is \
                      wrong. Set it, for example with `timedatectl set-ntp true`."
                .into(),
        },
        code if is_credential_fault(code) => {
            Error::Credentials { code: code.into(), message: credential_words(context, code) }
        }
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            permission_missing(context, code, text)
        }
        _ if is_quota(&code) => {
            let (account, region) = (context.account, context.region);
            let message = format!(
                "A quota of the account “{account}” in {region} is used up: raise the quota in AWS's \
                 console under Service Quotas, then retry. {}",
                said()
            );
            Error::QuotaReached { code, message }
        }
        _ if code.ends_with(".NotFound") => Error::NotFound { message: said(), code },
        _ if is_outcome_unknown(status) => Error::temporary(&code, said(), true),
        _ if status >= 500 || is_temporary(&code) => Error::temporary(&code, said(), false),
        _ => Error::Rejected { message: said(), code },
    }
}

fn error_for_status(context: ErrorContext<'_>, status: u16) -> Error {
    let service = context.service.name();
    let code = format!("http_{status}");
    match status {
        429 => Error::Throttled {
            code,
            message: format!("{service} is busy and asked us to wait (429)."),
        },
        408 | 500.. => {
            let message = format!("{service} answered {status}.");
            Error::temporary(&code, message, is_outcome_unknown(status))
        }
        300..=399 => Error::Rejected {
            code,
            message: format!(
                "{service} answered with a redirection ({status}), which a signed request does not \
                 follow. Check AWS_ENDPOINT_URL and the region."
            ),
        },
        _ => Error::Rejected {
            code,
            message: format!("{service} refused it ({status}), no reason given."),
        },
    }
}

/// Whether an error status leaves open whether the call has had its effect: a gateway that
/// gave up doesn't know what the service behind it does.
fn is_outcome_unknown(status: u16) -> bool {
    matches!(status, 408 | 502 | 504)
}

/// Whether a code asks for fewer calls: `botocore.retries.standard` has the same list.
fn is_throttling(code: &str) -> bool {
    code.starts_with("Throttl")
        || code.starts_with("RequestThrottled")
        || matches!(
            code,
            "RequestLimitExceeded"
                | "EC2ThrottledException"
                | "TooManyRequestsException"
                | "BandwidthLimitExceeded"
                | "SlowDown"
                | "PriorRequestNotComplete"
        )
}

/// Whether AWS refused the time of the signature. CloudWatch says so in the message of another
/// code.
fn is_clock_fault(code: &str, text: &str) -> bool {
    match code {
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => true,
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            text.contains("Signature expired") || text.contains("Signature not yet current")
        }
        _ => false,
    }
}

fn is_credential_fault(code: &str) -> bool {
    matches!(
        code,
        "AuthFailure"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "OptInRequired"
            | "PendingVerification"
            | "Blocked"
    )
}

/// Returns what to do about credentials that AWS does not accept.
fn credential_words(context: ErrorContext<'_>, code: &str) -> String {
    let ErrorContext { account, region, .. } = context;
    let of = match context.profile {
        Some(profile) => format!("profile `{profile}`"),
        None => format!("the account “{account}”"),
    };
    match code {
        "ExpiredToken" | "ExpiredTokenException" => {
            let how = match context.profile {
                Some(profile) => format!("run `aws sso login --profile {profile}`, or "),
                None => String::new(),
            };
            format!("The AWS credentials of {of} have expired: {how}put new ones in their place.")
        }
        "OptInRequired" | "PendingVerification" | "Blocked" => format!(
            "AWS does not let the account “{account}” use {} in {region} ({code}): look at the \
             account in AWS's console.",
            context.service.name()
        ),
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => format!(
            "AWS does not accept the secret key of {of} ({code}): correct \
             `aws_secret_access_key`, or make a new key."
        ),
        _ => format!(
            "AWS does not accept the credentials of {of} in {region} ({code}): check that the key \
             exists and is active, that {region} is enabled for the account, and that the clock of \
             the server is right."
        ),
    }
}

/// Returns the error of credentials that don't allow an action. AWS's message names the action
/// that is missing, which may be another one, such as `iam:PassRole`.
fn permission_missing(context: ErrorContext<'_>, code: String, text: &str) -> Error {
    let (text, encoded) = match text.split_once(ENCODED_DETAILS) {
        Some((text, _)) => (text.trim(), true),
        None => (text, false),
    };
    let named = text.split_once("is not authorized to perform: ").and_then(|(_, rest)| {
        let action = rest.split_whitespace().next()?;
        action.contains(':').then(|| action.trim_end_matches('.').to_owned())
    });
    let requested = format!("{}:{}", context.service.iam_prefix(), context.action);
    let action = named.unwrap_or(requested);
    let account = context.account;
    let hint = if encoded { " AWS's encoded details are left out." } else { "" };
    let message = format!(
        "The account “{account}” may not call {action}: allow this action in IAM, then retry. \
         AWS: {text}{hint}"
    );
    Error::PermissionMissing { code, action, message }
}

fn is_quota(code: &str) -> bool {
    code.ends_with("LimitExceeded")
        || matches!(code, "LimitExceededFault" | "LimitExceededException")
}

/// Whether a code with a status below 500 may go away by itself.
fn is_temporary(code: &str) -> bool {
    matches!(
        code,
        "IncorrectInstanceState" | "IncorrectState" | "RequestTimeout" | "InternalFailure"
    ) || (code.starts_with("Insufficient") && code.ends_with("Capacity"))
        || matches!(code, "InternalError" | "Unavailable" | "ServiceUnavailable")
}

#[cfg(test)]
mod tests;
