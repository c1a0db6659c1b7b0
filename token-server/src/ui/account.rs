//! Who somebody is, and who they are elsewhere.
//!
//! *Invariant:* nobody takes away the last way in which they could come back.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use shared::secret::Secret;

use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::tokens::number;
use super::visit::{self, Visit};
use super::{Pages, prove};
use crate::domain::error::TokenServerError;
use crate::domain::login::by_password::Entrance;
use crate::domain::principal_name::PrincipalName;
use crate::http::{Services, origin};

struct Identity {
    provider: String,
    name: String,
    issuer: String,
    id: String,
}

struct Choice {
    name: String,
    title: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    display_name: Option<String>,
    teams: Vec<String>,
    identities: Vec<Identity>,
    providers: Vec<Choice>,
}

/// Leads to the account.
pub async fn root() -> HttpResponse {
    render::see_other(&Page::Account.path()).finish()
}

/// The name of whoever is signed in.
pub(super) fn own_name(visit: &Visit, page: Page) -> Result<PrincipalName, PageError> {
    Ok(PrincipalName::parse(&visit.session(page)?.user.name).map_err(TokenServerError::from)?)
}

/// Shows who somebody is.
pub async fn page(request: HttpRequest, services: Data<Services>, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let visit = Visit::of(&request, &pages).await?;
        let administration = visit.administration(&request, &services, Page::Account)?;
        let name = own_name(&visit, Page::Account)?;
        let user = administration.show_user(&name).await?;
        let rows = administration.list_identities(Some(&name)).await?;
        let display_name = administration.display_name(&name).await?;
        let identities = rows.into_iter().map(|row| Identity {
            provider: row.provider,
            name: row.name,
            issuer: row.issuer,
            id: row.id.to_string(),
        });
        let identities: Vec<Identity> = identities.collect();
        let free = pages.clients.values().filter(|client| {
            !identities.iter().any(|identity| identity.issuer == client.provider().issuer())
        });
        let providers = free.map(|client| Choice {
            name: client.provider().name.to_string(),
            title: client.provider().title.clone(),
        });
        let providers = providers.collect();
        let shown = AccountPage {
            frame: Frame::of(&visit),
            name: name.to_string(),
            display_name,
            teams: user.teams,
            identities,
            providers,
        };
        render::html(StatusCode::OK, Some(&visit), &shown)
    };
    answer(&request, outcome.await)
}

/// Sets another password; whoever has a second factor has just shown it as well.
pub async fn change_password(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let session = visit.session(Page::Account)?;
        prove::demand_if_held(&visit, &pages, Page::Account).await?;
        let password = |field| Ok::<_, PageError>(Secret::new(form.one(field)?.unwrap_or_default()));
        let (current, new, origin) = (password("current")?, password("new")?, origin(&request));
        let (name, entrance) = (&session.user.name, Entrance::Page);
        services.accounts.change_password(name, &current, new, entrance, &origin).await?;
        // All sessions have ended, this one too.
        Ok(render::see_other("/signin").finish())
    };
    answer(&request, outcome.await)
}

/// Forgets who somebody is elsewhere.
pub async fn unlink(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand_if_held(&visit, &pages, Page::Account).await?;
        let administration = visit.administration(&request, &services, Page::Account)?;
        administration.unlink_identity(number(&form, "identity")?).await?;
        Ok(render::see_other(&Page::Account.path()).finish())
    };
    answer(&request, outcome.await)
}
