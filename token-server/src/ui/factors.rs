//! Second factors of whoever is signed in.
//!
//! *Invariant:* recovery codes are on one page, the answer to the form that made them.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::visit::{self, Visit};
use super::{Pages, prove};
use crate::domain::second_factor::cose_key::ALGORITHMS;
use crate::domain::second_factor::passkeys::Errand;
use crate::domain::words::moment::written;
use crate::http::{Services, origin};

struct Passkey {
    id: String,
    name: String,
    added: String,
    used: String,
}

/// What the script needs to make another one.
struct Making {
    challenge: String,
    party: String,
    keys: String,
    user: String,
    name: String,
    algorithms: String,
}

#[derive(Template)]
#[template(path = "factors.html")]
struct FactorsPage {
    frame: Frame,
    codes: Vec<String>,
    remark: Option<String>,
    app: Option<String>,
    passkeys: Vec<Passkey>,
    passkeys_at: Option<Making>,
    is_proven: bool,
    is_shown: bool,
    has_any: bool,
    recovery_codes: i64,
}

/// Shows them, with codes that were just made.
pub(super) async fn show(
    pages: &Pages,
    visit: &Visit,
    codes: Vec<String>,
    failure: Option<&PageError>,
) -> Result<HttpResponse, PageError> {
    let session = visit.session(Page::Factors)?;
    let held = pages.factors.of(session.user.pid).await?;
    let (status, remark) = failure.map_or((StatusCode::OK, None), |error| {
        let (status, sentence) = error.remark();
        (status, Some(sentence))
    });
    let is_proven = visit.is_new || pages.sessions.is_fresh(&session.row, held.is_any());
    let passkeys_at = match pages.factors.party().filter(|_| is_proven) {
        Some(party) => {
            let mark = pages.sessions.mark(&visit.cookie);
            Some(Making {
                challenge: URL_SAFE_NO_PAD.encode(pages.factors.challenge(&mark, Errand::Register).await?),
                party: party.id.clone(),
                keys: prove::names(&held.passkeys),
                user: URL_SAFE_NO_PAD.encode(session.user.uid.as_bytes()),
                name: session.user.name.clone(),
                algorithms: ALGORITHMS.map(|number| number.to_string()).join(" "),
            })
        }
        None => None,
    };
    let has_script = passkeys_at.is_some();
    let shown = FactorsPage {
        frame: Frame::of(visit),
        codes,
        remark,
        app: held.app.map(written),
        has_any: held.is_any(),
        recovery_codes: held.recovery_codes,
        passkeys: held
            .passkeys
            .into_iter()
            .map(|key| Passkey {
                id: key.id.to_string(),
                name: key.name,
                added: written(key.created_at),
                used: key.last_used_at.map_or_else(|| "never".to_owned(), written),
            })
            .collect(),
        passkeys_at,
        is_proven,
        // What was added a moment ago was shown with it.
        is_shown: visit.is_new || session.user.has_second_factor,
    };
    if has_script {
        render::html_with_script(status, visit, &shown)
    } else {
        render::html(status, Some(visit), &shown)
    }
}

/// Shows them.
pub async fn page(request: HttpRequest, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let visit = Visit::of(&request, &pages).await?;
        show(&pages, &visit, Vec::new(), None).await
    };
    answer(&request, outcome.await)
}

/// Makes recovery codes.
pub async fn make_codes(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, _) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand(&visit, &pages, Page::Factors).await?;
        let user = &visit.session(Page::Factors)?.user;
        let codes = pages.factors.new_recovery_codes(user.into(), &origin(&request)).await?;
        show(&pages, &visit, codes, None).await
    };
    answer(&request, outcome.await)
}
