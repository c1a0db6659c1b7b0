//! Personal access tokens of whoever is signed in.
//!
//! *Invariant:* what is secret of a token is on one page, the answer to the form that made it.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use time::Duration;
use uuid::Uuid;

use super::Pages;
use super::account::own_name;
use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::visit::{self, Form, Visit};
use crate::db::credentials::CredentialSummary;
use crate::db::limit_words::LimitWords;
use crate::domain::administration::credentials::WantedCredential;
use crate::domain::credential_limits::CredentialLimits;
use crate::domain::error::TokenServerError;
use crate::domain::words::moment::written;
use crate::http::Services;

struct Row {
    id: String,
    name: String,
    added: String,
    used: String,
    ends: String,
    good_for: String,
}

impl From<&CredentialSummary> for Row {
    fn from(token: &CredentialSummary) -> Self {
        let good_for = token.limits.as_ref().map(|limits| match CredentialLimits::stored(limits) {
            Ok(limits) => limits.to_string(),
            Err(_) => "nothing".to_owned(),
        });
        Self {
            id: token.id.to_string(),
            name: token.label.clone().unwrap_or_default(),
            added: written(token.created_at),
            used: token.last_used_at.map_or_else(|| "never".to_owned(), written),
            ends: token.expires_at.map_or_else(|| "never".to_owned(), written),
            good_for: good_for.unwrap_or_else(|| "everything you may do".to_owned()),
        }
    }
}

struct Made {
    name: String,
    user: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    made: Option<Made>,
    remark: Option<String>,
    tokens: Vec<Row>,
}

async fn show(
    request: &HttpRequest,
    services: &Services,
    visit: &Visit,
    made: Option<Made>,
    failure: Option<&PageError>,
) -> Result<HttpResponse, PageError> {
    let administration = visit.administration(request, services, Page::Tokens)?;
    let found = administration.list_personal_tokens(&own_name(visit, Page::Tokens)?).await?;
    let (status, remark) = failure.map_or((StatusCode::OK, None), |error| {
        let (status, sentence) = error.remark();
        (status, Some(sentence))
    });
    let tokens = found.iter().map(Row::from).collect();
    render::html(status, Some(visit), &TokensPage { frame: Frame::of(visit), made, remark, tokens })
}

/// Shows them.
pub async fn page(request: HttpRequest, services: Data<Services>, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let visit = Visit::of(&request, &pages).await?;
        show(&request, &services, &visit, None, None).await
    };
    answer(&request, outcome.await)
}

/// What a form asks for.
fn wanted(form: &Form, now: time::OffsetDateTime) -> Result<WantedCredential, PageError> {
    let contradiction = |sentence: &str| TokenServerError::Contradiction(sentence.to_owned());
    let days = form.one("days")?.map(|text| text.trim().parse::<u16>());
    let days =
        days.transpose().map_err(|_| contradiction("say the number of days as a number, such as 30"))?;
    let repository = form.one("repository")?;
    let actions = form.one("actions")?;
    let limits =
        LimitWords { repositories: repository.into_iter().collect(), actions, ..LimitWords::default() };
    let expires_at = days.map(|days| now + Duration::days(days.into()));
    Ok(WantedCredential { label: form.one("name")?, expires_at, limits })
}

/// Makes one.
pub async fn add(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let administration = visit.administration(&request, &services, Page::Tokens)?;
        let user = own_name(&visit, Page::Tokens)?;
        let made = async {
            let wanted = wanted(&form, administration.now())?;
            Ok::<_, PageError>(administration.add_personal_token(&user, &wanted).await?)
        };
        match made.await {
            Ok(made) => {
                let name = made.shown.label.clone().unwrap_or_default();
                let secret = made.secret.expose().to_owned();
                let made = Made { name, user: user.to_string(), secret };
                show(&request, &services, &visit, Some(made), None).await
            }
            Err(error) if !error.remark().0.is_server_error() => {
                show(&request, &services, &visit, None, Some(&error)).await
            }
            Err(error) => Err(error),
        }
    };
    answer(&request, outcome.await)
}

/// Revokes one.
pub async fn revoke(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let administration = visit.administration(&request, &services, Page::Tokens)?;
        let user = own_name(&visit, Page::Tokens)?;
        administration.revoke_personal_token(number(&form, "personal access token")?, Some(&user)).await?;
        Ok(render::see_other(&Page::Tokens.path()).finish())
    };
    answer(&request, outcome.await)
}

/// The number that a form names.
pub(super) fn number(form: &Form, kind: &'static str) -> Result<Uuid, PageError> {
    let text = form.one("id")?.unwrap_or_default();
    text.parse().map_err(|_| TokenServerError::NotFound { kind, name: text }.into())
}
