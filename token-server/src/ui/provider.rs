//! A browser is sent to an identity provider and comes back.
//!
//! *Invariant:* only a browser that this server sent is taken back, once, and it is told where to go by what it carried,
//! not by what its address says.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use shared::secret::Secret;
use shared::server::request_log::RequestLog;

use super::error::{PageError, answer};
use super::page::Page;
use super::sign_in::wanted_page;
use super::visit::Visit;
use super::{Pages, cookies, prove, render};
use crate::domain::actor::Actor;
use crate::domain::administration::identities::Admission;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::signon::code_flow::{NotSignedIn, OpenIdClient, Returned};
use crate::domain::signon::flow::{Errand, Flow};
use crate::domain::signon::freshness;
use crate::domain::signon::sessions::SignedInBy;
use crate::http::parameters::Parameters;
use crate::http::{Services, origin};

fn client<'a>(pages: &'a Pages, name: &str) -> Result<&'a OpenIdClient, PageError> {
    pages.clients.get(name).map(AsRef::as_ref).ok_or(PageError::NoProvider)
}

async fn go(pages: &Pages, client: &OpenIdClient, errand: Errand) -> Result<HttpResponse, PageError> {
    let now = pages.clock.unix_now();
    let flow = Flow::new(client.provider().name.as_str(), errand, now, &pages.random);
    let flow = flow.map_err(TokenServerError::from)?;
    let address = client.address(&flow).await?;
    let sealed = flow.seal(&pages.secret, &pages.random).map_err(TokenServerError::from)?;
    Ok(render::see_other(address.as_str()).cookie(cookies::for_flow(&flow, sealed)).finish())
}

/// Sends somebody to sign in.
pub async fn send(request: HttpRequest, pages: Data<Pages>, name: Path<String>) -> HttpResponse {
    let outcome = async {
        let page = wanted_page(&request)?.path().into_owned();
        go(&pages, client(&pages, &name)?, Errand::SignIn { page }).await
    };
    answer(&request, outcome.await)
}

/// Sends somebody who is signed in to say that they are somebody there as well. It is a link, because a form that leads
/// elsewhere in the end is stopped by the browser, so the link carries what a form would.
pub async fn send_to_link(request: HttpRequest, pages: Data<Pages>, name: Path<String>) -> HttpResponse {
    let outcome = async {
        let visit = Visit::of(&request, &pages).await?;
        let uid = visit.session(Page::Account)?.user.uid;
        let query = Parameters::parse(request.query_string().as_bytes());
        let token = query.one("form")?.unwrap_or_default();
        if !pages.sessions.is_own_form(&visit.cookie, token) {
            return Err(PageError::ForeignForm);
        }
        // Who is linked can come back with a second factor of their own, so linking is adding one.
        prove::demand_if_held(&visit, &pages, Page::Account).await?;
        go(&pages, client(&pages, &name)?, Errand::Link { uid }).await
    };
    answer(&request, outcome.await)
}

/// Takes somebody back.
pub async fn take_back(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    name: Path<String>,
) -> HttpResponse {
    let query = Parameters::parse(request.query_string().as_bytes());
    let state = query.all("state").next().unwrap_or_default().to_owned();
    let outcome = returned(&request, &services, &pages, &name, &query).await;
    let mut response = answer(&request, outcome);
    if let Some(cookie) = cookies::without_flow(&state) {
        // Whatever came of it, this visit is over.
        let _ = response.add_cookie(&cookie);
    }
    response
}

async fn returned(
    request: &HttpRequest,
    services: &Services,
    pages: &Pages,
    name: &str,
    query: &Parameters<'_>,
) -> Result<HttpResponse, PageError> {
    let client = client(pages, name)?;
    let now = pages.clock.unix_now();
    let state = query.one("state")?.ok_or(PageError::NotSent)?;
    let carried = cookies::flow(request, state).ok_or(PageError::NotSent)?;
    let flow = Flow::open(&carried, name, state, &pages.secret, now).ok_or(PageError::NotSent)?;
    let origin = origin(request);
    let taken = match (query.one("error")?, query.one("code")?) {
        (Some(error), _) => Err(NotSignedIn::refused(error, query.one("error_description")?)),
        (None, Some(code)) => client.take_in(&flow, &Secret::new(code), query.one("iss")?, now).await,
        (None, None) => return Err(PageError::NotSent),
    };
    let returned = match taken {
        Ok(returned) => returned,
        Err(error) => {
            let reason = match &error {
                NotSignedIn::Provider(_) => "provider_does_not_answer",
                _ => "not_signed_in_at_provider",
            };
            services.authenticator.record_refused_visit(None, reason, &origin).await?;
            return Err(error.into());
        }
    };
    match &flow.errand {
        Errand::SignIn { page } => admit(request, services, pages, client, &returned, Page::of(page)).await,
        Errand::Link { uid } => {
            let visit = Visit::of(request, pages).await?;
            // The one who was sent must be the one who is signed in now.
            let session = visit.session(Page::Account)?;
            if session.user.uid != *uid {
                return Err(PageError::NotSent);
            }
            prove::demand_if_held(&visit, pages, Page::Account).await?;
            let user = PrincipalName::parse(&session.user.name).map_err(TokenServerError::from)?;
            let administration = visit.administration(request, services, Page::Account)?;
            administration.link_identity(&user, client.provider(), &returned.profile).await?;
            Ok(render::see_other(&Page::Account.path()).finish())
        }
    }
}

async fn admit(
    request: &HttpRequest,
    services: &Services,
    pages: &Pages,
    client: &OpenIdClient,
    returned: &Returned,
    page: Page,
) -> Result<HttpResponse, PageError> {
    let origin = origin(request);
    let seal = |refresh: &Secret| freshness::seal(&pages.secret, &pages.random, refresh);
    let refresh = returned.refresh.as_ref().map(seal).transpose().map_err(TokenServerError::from)?;
    let administration = services.administration.on_behalf_of(Actor::Server);
    match administration.admit(client.provider(), &returned.profile, refresh.as_deref()).await? {
        Admission::User(user) => {
            RequestLog::note_subject(request, &user.name);
            let by = SignedInBy::Provider(client.provider().name.as_str(), returned);
            let cookie = pages.sessions.begin((user.pid, user.uid, &user.name), by, &origin).await?;
            Ok(render::see_other(&page.path()).cookie(cookies::for_visit(&cookie)).finish())
        }
        Admission::Pending(id) => {
            services.authenticator.record_refused_visit(None, "pending_identity", &origin).await?;
            Err(PageError::Pending(id))
        }
        Admission::Refused(why) => {
            services.authenticator.record_refused_visit(None, why.as_str(), &origin).await?;
            Err(PageError::NotAdmitted(why))
        }
    }
}
