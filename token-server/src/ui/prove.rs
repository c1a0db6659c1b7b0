//! Showing again who one is, before second factors change: with one of them, or with the password.
//!
//! *Invariant:* whoever has a second factor shows that and not the password; afterwards the browser shows something new.
//!
//! The page that asks for a second factor while somebody signs in looks the same.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::secret::Secret;

use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::sign_in::wanted_page;
use super::visit::{self, Form, Visit};
use super::{Pages, cookies};
use crate::db::passkeys::PasskeyRow;
use crate::domain::error::TokenServerError;
use crate::domain::login::by_password::Entrance;
use crate::domain::record::audit::Origin;
use crate::domain::second_factor::factors::{Held, Person};
use crate::domain::second_factor::passkeys::Errand;
use crate::http::{Services, origin};

/// Its address.
pub const ADDRESS: &str = "/account/prove";

struct Passkey {
    challenge: String,
    party: String,
    keys: String,
    verification: &'static str,
}

#[derive(Template)]
#[template(path = "prove.html")]
struct ProvePage {
    frame: Frame,
    title: &'static str,
    address: &'static str,
    page: String,
    remark: Option<String>,
    passkey: Option<Passkey>,
    has_code: bool,
    has_password: bool,
}

/// What is asked, and where the answer goes.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// The heading.
    pub title: &'static str,
    /// Where the answer goes.
    pub address: &'static str,
    /// Where somebody goes then.
    pub page: Page,
}

/// How devices call keys, one behind the other.
pub(super) fn names(keys: &[PasskeyRow]) -> String {
    keys.iter().map(|key| URL_SAFE_NO_PAD.encode(&key.credential_id)).collect::<Vec<_>>().join(" ")
}

/// Asks for what somebody has.
pub(super) async fn show(
    pages: &Pages,
    visit: &Visit,
    held: &Held,
    asked: Asked,
    failure: Option<&PageError>,
) -> Result<HttpResponse, PageError> {
    let (status, remark) = failure.map_or((StatusCode::OK, None), |error| {
        let (status, sentence) = error.remark();
        (status, Some(sentence))
    });
    let passkey = match pages.factors.party().filter(|_| !held.passkeys.is_empty()) {
        Some(party) => Some(Passkey {
            challenge: URL_SAFE_NO_PAD
                .encode(pages.factors.challenge(&pages.sessions.mark(&visit.cookie), Errand::Prove).await?),
            party: party.id.clone(),
            keys: names(&held.passkeys),
            verification: "discouraged",
        }),
        None => None,
    };
    let has_passkey = passkey.is_some();
    let shown = ProvePage {
        frame: Frame::of(visit),
        title: asked.title,
        address: asked.address,
        page: asked.page.path().into_owned(),
        remark,
        passkey,
        has_code: held.app.is_some() || held.recovery_codes > 0,
        has_password: !held.is_any(),
    };
    if has_passkey {
        render::html_with_script(status, visit, &shown)
    } else {
        render::html(status, Some(visit), &shown)
    }
}

/// Checks a second factor that came with a form; says which it was.
pub(super) async fn check(
    pages: &Pages,
    visit: &Visit,
    person: Person<'_>,
    form: &Form,
    origin: &Origin,
) -> Result<&'static str, PageError> {
    Ok(match form.one("passkey")? {
        Some(answer) => {
            let mark = pages.sessions.mark(&visit.cookie);
            pages.factors.check_passkey(person, &mark, &answer, origin).await?
        }
        None => pages.factors.check_code(person, &form.one("code")?.unwrap_or_default(), origin).await?,
    })
}

fn asked(page: Page) -> Asked {
    Asked { title: "Show again who you are", address: ADDRESS, page }
}

/// Asks.
pub async fn page(request: HttpRequest, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let page = wanted_page(&request)?;
        let visit = Visit::of(&request, &pages).await?;
        let held = pages.factors.of(visit.session(page)?.user.pid).await?;
        show(&pages, &visit, &held, asked(page), None).await
    };
    answer(&request, outcome.await)
}

/// Takes the answer.
pub async fn take(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let page = form.one("page")?.as_deref().map(Page::of).unwrap_or_default();
        let user = &visit.session(page)?.user;
        let (held, origin) = (pages.factors.of(user.pid).await?, origin(&request));
        let proven = if held.is_any() {
            check(&pages, &visit, user.into(), &form, &origin).await
        } else {
            let password = Secret::new(form.one("password")?.unwrap_or_default());
            let checked =
                services.authenticator.authenticate_password(&user.name, &password, Entrance::Page, &origin);
            match checked.await {
                // They have got a second factor at this moment.
                Ok(known) if known.needs_second_factor => Err(TokenServerError::ChangedMeanwhile.into()),
                Ok(_) => Ok("password"),
                Err(error) => Err(error.into()),
            }
        };
        match proven {
            Ok(how) => {
                let who = (&visit.cookie, user);
                let cookie = pages.sessions.prove(who, how, held.is_any(), &origin).await?;
                Ok(render::see_other(&page.path()).cookie(cookies::for_visit(&cookie)).finish())
            }
            Err(error) if error.remark().0.is_server_error() => Err(error),
            Err(error) => show(&pages, &visit, &held, asked(page), Some(&error)).await,
        }
    };
    answer(&request, outcome.await)
}

/// The same for those alone who have a second factor, for what would be a way round it.
pub(super) async fn demand_if_held(visit: &Visit, pages: &Pages, page: Page) -> Result<(), PageError> {
    if pages.factors.of(visit.session(page)?.user.pid).await?.is_any() {
        demand(visit, pages, page).await?;
    }
    Ok(())
}

/// Lets through whoever has just shown who they are; others are asked, and then come back to this page.
pub(super) async fn demand(visit: &Visit, pages: &Pages, page: Page) -> Result<Held, PageError> {
    let session = visit.session(page)?;
    let held = pages.factors.of(session.user.pid).await?;
    if pages.sessions.is_fresh(&session.row, held.is_any()) {
        Ok(held)
    } else {
        Err(PageError::ProveFirst(page))
    }
}
