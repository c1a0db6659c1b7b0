//! What a request says about who sent it.
//!
//! Clients that hold a refresh token send it as a form field, or as the password of a Basic header whose user is
//! empty or `<token>`.
//!
//! *Invariant:* this is the only reader of `Authorization`; a request carries at most one identity, and credentials
//! that cannot be read are an error, not nothing.
//!
//! Spec: RFC 7617 (Basic), RFC 6749 §4.3 and §6.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use shared::basic::{BasicCredentials, NotBasic};
use shared::secret::Secret;

use super::error::ApiError;
use super::parameters::Parameters;
use crate::domain::error::TokenServerError;
use crate::domain::login::authenticate::Credentials;

/// The user under which clients keep a refresh token where a name is needed.
const TOKEN_USER: &str = "<token>";

fn unusable(sentence: &'static str) -> ApiError {
    ApiError::Domain(TokenServerError::UnusableCredentials(sentence))
}

/// Reads the `Authorization` header.
pub fn from_header(headers: &HeaderMap) -> Result<Option<Credentials>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(unusable("there is more than one Authorization header"));
    }
    let read = value.to_str().map_err(|_| NotBasic::OtherScheme).and_then(BasicCredentials::parse);
    let BasicCredentials { user, password } = read.map_err(|error| match error {
        NotBasic::OtherScheme => unusable("the Authorization header is not of the kind Basic"),
        NotBasic::Unreadable => unusable("the Authorization header cannot be read"),
    })?;
    from_pair(&user, password.expose()).map(Some)
}

fn from_pair(user: &str, password: &str) -> Result<Credentials, ApiError> {
    match user {
        "" | TOKEN_USER if password.is_empty() => Err(ApiError::Domain(TokenServerError::WrongCredentials)),
        "" | TOKEN_USER => Ok(Credentials::RefreshToken(Secret::new(password))),
        user => Ok(Credentials::Password { user: user.to_owned(), password: Secret::new(password) }),
    }
}

/// Reads the grant in a form. Without a `grant_type` the fields say which one it is.
pub fn from_form(form: &Parameters<'_>) -> Result<Option<Credentials>, ApiError> {
    let refresh_token = form.one("refresh_token")?;
    let user = form.one("username")?;
    let password = form.one("password")?;
    let grant = form.one("grant_type")?;
    match (grant, refresh_token) {
        (None, Some(_)) if user.is_some() || password.is_some() => {
            Err(unusable("there is both a password and a refresh token"))
        }
        (Some("refresh_token") | None, Some(token)) => {
            Ok(Some(Credentials::RefreshToken(Secret::new(token))))
        }
        (Some("password") | None, _) if user.is_some() || password.is_some() => {
            from_pair(user.unwrap_or_default(), password.unwrap_or_default()).map(Some)
        }
        (Some("password" | "refresh_token") | None, _) => Ok(None),
        (Some(_), _) => Err(ApiError::UnsupportedGrantType),
    }
}

/// The one identity of a request that may carry it twice.
pub fn combine(
    header: Option<Credentials>,
    form: Option<Credentials>,
) -> Result<Option<Credentials>, ApiError> {
    match (header, form) {
        (Some(header), Some(form)) if !is_same(&header, &form) => {
            Err(unusable("the Authorization header and the form are about different logins"))
        }
        (header, form) => Ok(header.or(form)),
    }
}

fn is_same(one: &Credentials, other: &Credentials) -> bool {
    match (one, other) {
        (
            Credentials::Password { user, password },
            Credentials::Password { user: other_user, password: other_password },
        ) => user.eq_ignore_ascii_case(other_user) && password == other_password,
        (Credentials::RefreshToken(one), Credentials::RefreshToken(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn header(values: &[&str]) -> Result<Option<Credentials>, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        from_header(&headers)
    }

    fn shown(credentials: Result<Option<Credentials>, ApiError>) -> String {
        match credentials {
            Ok(Some(Credentials::Password { user, password })) => format!("{user}/{}", password.expose()),
            Ok(Some(Credentials::RefreshToken(token))) => format!("token {}", token.expose()),
            Ok(Some(Credentials::Device(code))) => format!("device {}", code.expose()),
            Ok(None) => "nobody".into(),
            Err(_) => "refused".into(),
        }
    }

    #[test]
    fn basic_headers_are_read_as_clients_write_them() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (value, expected) in [
            (basic("alice:p:w"), "alice/p:w"),
            (basic("alice:"), "alice/"),
            (basic(":tok"), "token tok"),
            (basic("<token>:tok"), "token tok"),
            (basic(":"), "refused"),
            (basic("<token>:"), "refused"),
            (basic("alice"), "refused"),
            (format!("bASIC  {}", STANDARD_NO_PAD.encode("alice:pw12")), "alice/pw12"),
            ("Basic".into(), "refused"),
            ("Basic %%%".into(), "refused"),
            ("Bearer abc".into(), "refused"),
            (format!("Basic {}", STANDARD.encode(b"a\xff:b")), "refused"),
        ] {
            assert_eq!(shown(header(&[&value])), expected, "{value}");
        }
        assert_eq!(shown(header(&[])), "nobody");
        assert_eq!(shown(header(&[&basic("a:b"), &basic("a:b")])), "refused");
    }

    #[test]
    fn forms_are_read_as_clients_write_them() {
        for (form, expected) in [
            ("grant_type=password&username=alice&password=p+w", "alice/p w"),
            ("username=alice&password=pw", "alice/pw"),
            ("grant_type=refresh_token&refresh_token=tok", "token tok"),
            ("grant_type=refresh_token&refresh_token=tok&username=alice", "token tok"),
            ("refresh_token=tok", "token tok"),
            ("refresh_token=tok&username=alice&password=pw", "refused"),
            ("grant_type=password&username=%3Ctoken%3E&password=tok", "token tok"),
            ("grant_type=password&username=alice", "alice/"),
            ("grant_type=password&password=x&username=", "token x"),
            ("grant_type=password", "nobody"),
            ("grant_type=client_credentials", "refused"),
            ("grant_type=password&grant_type=refresh_token", "refused"),
            ("username=alice&username=bob&password=pw", "refused"),
            ("username=alice&username=alice&password=pw", "alice/pw"),
            ("scope=x", "nobody"),
            ("", "nobody"),
        ] {
            assert_eq!(shown(from_form(&Parameters::parse(form.as_bytes()))), expected, "{form}");
        }
    }

    #[test]
    fn two_identities_are_none() {
        let password =
            |user: &str| Some(Credentials::Password { user: user.into(), password: Secret::new("pw") });
        let token = || Some(Credentials::RefreshToken(Secret::new("tok")));
        assert_eq!(shown(combine(password("alice"), password("Alice"))), "alice/pw");
        assert_eq!(shown(combine(password("alice"), password("bob"))), "refused");
        assert_eq!(shown(combine(password("alice"), token())), "refused");
        assert_eq!(shown(combine(None, token())), "token tok");
    }

    proptest! {
        #[test]
        fn any_pair_survives_the_header(user in "[ -~&&[^:]]{1,20}", password in "\\PC{1,30}") {
            prop_assume!(user != TOKEN_USER);
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(shown(header(&[&value])), format!("{user}/{password}"));
        }
    }
}
