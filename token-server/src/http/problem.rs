//! Problem details: how refusals look on the API.
//!
//! *Invariant:* each refusal has one `code`, which stays the same while sentences may become better.
//!
//! Spec: RFC 9457.

use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::db::error::DbError;
use crate::domain::delegation::NotDelegated;
use crate::domain::docker_auth::config;
use crate::domain::error::TokenServerError;
use crate::domain::login::password::HashingError;

/// The media type.
pub const PROBLEM: &str = "application/problem+json";

/// Why something was not done.
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Always `about:blank`: the `code` says more.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The name of the status.
    title: &'a str,
    /// The status.
    status: u16,
    /// For programs: it stays the same.
    code: &'a str,
    /// For people.
    detail: &'a str,
    /// The request, where the log says more about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// Each thing that is wrong with a document, where there can be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<ProblemPart>,
}

/// One thing that is wrong with a document.
#[derive(Serialize, ToSchema)]
pub struct ProblemPart {
    /// The line it is at; `null` where the sentence says where.
    #[schema(required = true)]
    line: Option<usize>,
    /// For people.
    sentence: String,
}

/// All that is wrong with a document.
pub(super) fn parts(error: &ApiError) -> Vec<ProblemPart> {
    match error {
        ApiError::Domain(TokenServerError::InvalidImport(invalid)) => {
            let problems = invalid.0.iter();
            let part = |problem: &config::Problem| ProblemPart {
                line: Some(problem.line),
                sentence: problem.sentence.clone(),
            };
            problems.map(part).collect()
        }
        ApiError::Domain(TokenServerError::PolicyProblems(problems)) => {
            let part = |sentence: &String| ProblemPart { line: None, sentence: sentence.clone() };
            problems.0.iter().map(part).collect()
        }
        _ => Vec::new(),
    }
}

/// The body of a refusal.
pub(super) fn body(
    status: StatusCode,
    code: &str,
    detail: &str,
    instance: Option<&str>,
    errors: Vec<ProblemPart>,
) -> String {
    let title = status.canonical_reason().unwrap_or("Error");
    let status = status.as_u16();
    let problem = Problem { kind: "about:blank", title, status, code, detail, instance, errors };
    serde_json::to_string(&problem).expect("strings and a number always serialise")
}

/// The code of a refusal.
pub(super) const fn code(error: &ApiError) -> &'static str {
    match error {
        ApiError::Domain(error) => domain_code(error),
        ApiError::RepeatedParameter(_) | ApiError::BadParameter { .. } => "bad_parameter",
        ApiError::UnknownParameter { .. } => "unknown_parameter",
        ApiError::UnsupportedGrantType => "unsupported_grant_type",
        ApiError::UnsupportedMediaType(_) => "unsupported_media_type",
        ApiError::BodyTooLarge => "body_too_large",
        ApiError::BodyTooSlow => "body_too_slow",
        ApiError::BodyBroken => "body_broken",
        ApiError::MalformedJson | ApiError::BadBody(_) => "bad_body",
        ApiError::BadExchange(_) => "bad_exchange",
        ApiError::NoPages => "no_pages",
        ApiError::NoFilterHere => "no_filter_here",
        ApiError::NotARegistry => "not_a_registry",
        ApiError::NothingToCompare => "precondition_failed",
        ApiError::ManyReadersOfAll | ApiError::ManyChanges | ApiError::ManyTrials => "busy",
    }
}

const fn domain_code(error: &TokenServerError) -> &'static str {
    use TokenServerError as E;
    match error {
        E::WrongCredentials | E::RefreshTokenRefused | E::IdentityTokenRefused(_) => "wrong_credentials",
        E::NotLetInYet => "not_let_in_yet",
        E::PasswordNotEnough => "password_not_enough",
        E::WrongSecondFactor => "wrong_second_factor",
        E::TooManyCodes { .. } => "too_many_codes",
        E::NotDelegated(NotDelegated::SecondFactorFirst | NotDelegated::SharedWithoutSecondFactor { .. }) => {
            "second_factor_first"
        }
        E::DirectoryAway => "directory_away",
        E::PasswordElsewhere => "password_elsewhere",
        E::TooManyTries { .. } => "too_many_tries",
        E::TooManyTokenRequests { .. } => "too_many_token_requests",
        E::CredentialsRequired => "credentials_required",
        E::UnusableCredentials(_) => "unusable_credentials",
        E::UnknownAudience { .. } | E::AudienceRequired => "unknown_audience",
        E::InvalidPassword(_) => "invalid_password",
        E::InvalidName(_) => "invalid_name",
        E::InvalidPattern(_) => "invalid_pattern",
        E::InvalidSubject(_) => "invalid_subject",
        E::UnknownRight(_) => "unknown_action",
        E::InvalidQuestion(_) => "invalid_question",
        E::InvalidMoment(_) => "invalid_time",
        E::InvalidConditions(_) => "invalid_conditions",
        E::InvalidLimits(_) => "invalid_limits",
        E::InvalidTrust(_) => "invalid_trust",
        E::InvalidRemark(_) => "invalid_remark",
        E::InvalidRole(_) => "invalid_role",
        E::InvalidRobotName(_) => "invalid_robot_name",
        E::InvalidMember(_) => "invalid_member",
        E::NotAComponent(_) => "invalid_namespace",
        E::NotASubtree(_) => "not_a_subtree",
        E::InvalidKeyPair(_) => "invalid_key_pair",
        E::UsesNotKnown { .. } => "uses_not_known",
        E::InvalidPolicy(_) => "invalid_policy",
        E::PolicyProblems(_) => "policy_problems",
        E::PolicyNames(_) => "policy_names",
        E::PolicyStep { .. } => "policy_step",
        E::InvalidImport(_) => "invalid_import",
        E::ImportTooLarge(_) => "import_too_large",
        E::Contradiction(_) => "contradiction",
        E::NotFound { .. } => "not_found",
        E::NotDelegated(_) => "not_delegated",
        E::TooManyRows => "too_many_rights",
        E::AlreadyThere { .. } => "already_exists",
        E::OtherConditions(_) => "other_conditions",
        E::RobotHoldsMore { .. } => "robot_holds_more",
        E::OwnElevation => "own_elevation",
        E::NamespaceTaken { .. } => "namespace_taken",
        E::OwnsNamespaces { .. } => "owns_namespaces",
        E::ElevationOver { .. } => "elevation_over",
        E::TooManyRequests => "too_many_requests",
        E::TooManySecrets(_) | E::TooManyScimSecrets(_) => "too_many_secrets",
        E::Scim(error) => error.word(),
        E::TooManyTokens(_) => "too_many_tokens",
        E::TeamCycle { .. } => "team_cycle",
        E::TeamsTooDeep { .. } => "teams_too_deep",
        E::RoleInUse { .. } => "role_in_use",
        E::ChangedMeanwhile => "precondition_failed",
        E::DeviceNotYet(why) => why.as_str(),
        E::Hashing(HashingError::Busy) | E::Db(DbError::Locked(_)) | E::TooManyDevices => "busy",
        E::Db(DbError::Unavailable(_)) => "unavailable",
        E::Hashing(HashingError::Failed | HashingError::NoRandomness(_))
        | E::SealedFactor
        | E::SealedKey { .. }
        | E::Signing(_)
        | E::NoRandomness(_)
        | E::Db(_) => "internal",
    }
}
