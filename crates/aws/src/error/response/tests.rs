//! AWS's documented error bodies, and what each means.

use super::*;

const CONTEXT: ErrorContext<'static> = ErrorContext {
    service: Service::Ec2,
    action: "StartInstances",
    account: "ops",
    profile: Some("ops-admin"),
    region: "eu-west-1",
};

/// Returns an error body of EC2, as its documentation shows it.
fn ec2_body(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors>\
         <RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>"
    )
}

/// Returns an error body of CloudWatch, as its documentation shows it.
fn cloudwatch_body(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>5e9a4b4e-0f5a-11df-9e2d-example</RequestId></ErrorResponse>"
    )
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Throttled { .. } => "throttled",
        Error::Temporary { outcome_unknown: true, .. } => "outcome unknown",
        Error::Temporary { .. } => "temporary",
        Error::NotFound { .. } => "not found",
        Error::Credentials { .. } => "credentials",
        Error::Certificate { .. } => "certificate",
        Error::PermissionMissing { .. } => "permission",
        Error::QuotaReached { .. } => "quota",
        Error::Rejected { .. } => "rejected",
    }
}

#[test]
fn each_code_means_what_aws_documents() {
    for (status, code, message, expected) in [
        (503, "RequestLimitExceeded", "Request limit exceeded.", "throttled"),
        (503, "EC2ThrottledException", "Request limit exceeded.", "throttled"),
        (400, "Throttling", "Rate exceeded", "throttled"),
        (400, "ThrottlingException", "Rate exceeded", "throttled"),
        (429, "TooManyRequestsException", "Too many requests", "throttled"),
        (
            400,
            "IncorrectInstanceState",
            "The instance 'i-0a1b2c3d4e5f60001' is not in a state from which it can be started.",
            "temporary",
        ),
        (
            500,
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient m7i.large capacity in the Availability Zone you \
             requested (eu-west-1a).",
            "temporary",
        ),
        (400, "InsufficientCapacity", "There is not enough capacity.", "temporary"),
        (500, "InsufficientHostCapacity", "There is not enough capacity.", "temporary"),
        (500, "InternalError", "An internal error has occurred", "temporary"),
        (503, "Unavailable", "The service is unavailable. Please try again shortly.", "temporary"),
        (500, "InternalServiceFault", "Request processing has failed.", "temporary"),
        (504, "GatewayTimeout", "The gateway gave up.", "outcome unknown"),
        (408, "RequestTimeout", "The request took too long.", "outcome unknown"),
        (
            400,
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0a1b2c3d4e5f60001' does not exist",
            "not found",
        ),
        (400, "InvalidInstanceID.Malformed", "Invalid id: \"i-zz\"", "rejected"),
        (400, "InvalidParameterValue", "Value (x) for parameter y is invalid.", "rejected"),
        (
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
            "credentials",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            "credentials",
        ),
        (
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "credentials",
        ),
        (400, "RequestExpired", "Request has expired.", "credentials"),
        (
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
            "credentials",
        ),
        (403, "UnauthorizedOperation", "You are not authorized to perform it.", "permission"),
        (403, "AccessDenied", "User: x is not authorized to perform: a:B", "permission"),
        (
            400,
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows.",
            "quota",
        ),
        (
            400,
            "InstanceLimitExceeded",
            "Your quota allows for 0 more running instance(s).",
            "quota",
        ),
        (400, "LimitExceeded", "The quota for alarms for this customer was reached.", "quota"),
    ] {
        for body in [ec2_body(code, message), cloudwatch_body(code, message)] {
            let error = error_for_response(CONTEXT, status, &body);
            assert_eq!(kind(&error), expected, "{status} {code}: {error:?}");
            assert_eq!(error.code(), code);
        }
    }
}

#[test]
fn an_error_without_xml_is_judged_by_its_status() {
    for (status, expected) in [
        (302, "rejected"),
        (404, "rejected"),
        (408, "outcome unknown"),
        (429, "throttled"),
        (500, "temporary"),
        (502, "outcome unknown"),
        (503, "temporary"),
        (504, "outcome unknown"),
    ] {
        for body in ["", "<html>Sorry.</html>", "{\"message\":\"no\"}", "<Response/>"] {
            let error = error_for_response(CONTEXT, status, body);
            assert_eq!(kind(&error), expected, "{status} {body}: {error:?}");
        }
    }
}

#[test]
fn a_wrong_clock_is_named_and_not_the_credentials() {
    for (code, message) in [
        ("RequestExpired", "Request has expired."),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261129T080000Z is now earlier than 20261129T084500Z",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature not yet current: 20261129T100000Z is still later than 20261129T093000Z",
        ),
    ] {
        let error = error_for_response(CONTEXT, 403, &ec2_body(code, message));
        assert_eq!(kind(&error), "credentials");
        assert!(error.to_string().contains("the clock of the server is wrong"), "{error}");
    }
}

#[test]
fn faults_of_credentials_say_what_to_do() {
    let words = |code: &str| error_for_response(CONTEXT, 403, &ec2_body(code, "No.")).to_string();
    assert!(words("ExpiredToken").contains("run `aws sso login --profile ops-admin`"));
    assert!(words("SignatureDoesNotMatch").contains("the secret key of profile `ops-admin`"));
    assert!(words("AuthFailure").contains("that eu-west-1 is enabled for the account"));
    let no_profile = ErrorContext { profile: None, ..CONTEXT };
    let error = error_for_response(no_profile, 403, &ec2_body("ExpiredToken", "No."));
    assert_eq!(
        error.to_string(),
        "The AWS credentials of the account “ops” have expired: put new ones in their place."
    );
}

#[test]
fn a_missing_permission_is_named_without_the_encoded_details() {
    let blob = "qVT3".repeat(1_000);
    for (message, action) in [
        (
            format!(
                "You are not authorized to perform this operation. Encoded authorization failure \
                 message: {blob}"
            ),
            "ec2:StartInstances",
        ),
        (
            format!(
                "You are not authorized to perform this operation. User: \
                 arn:aws:iam::123456789012:user/worker is not authorized to perform: iam:PassRole \
                 on resource: arn:aws:iam::123456789012:role/web because no identity-based policy \
                 allows the iam:PassRole action. Encoded authorization failure message: {blob}"
            ),
            "iam:PassRole",
        ),
    ] {
        let error = error_for_response(CONTEXT, 403, &ec2_body("UnauthorizedOperation", &message));
        let words = error.to_string();
        let start = format!("The account “ops” may not call {action}: allow this action in IAM");
        assert!(words.starts_with(&start), "{words}");
        assert!(!words.contains("qVT3") && words.len() < 600, "{words}");
        assert!(matches!(error, Error::PermissionMissing { action: named, .. } if named == action));
    }
}

#[test]
fn a_used_up_quota_says_to_raise_it() {
    let body = ec2_body("VcpuLimitExceeded", "You have requested more vCPU capacity.");
    let words = error_for_response(CONTEXT, 400, &body).to_string();
    assert!(words.contains("“ops” in eu-west-1") && words.contains("raise the quota"), "{words}");
}
