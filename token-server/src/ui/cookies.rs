//! What a browser keeps for this server.
//!
//! *Invariant:* cookies are of this host alone (`__Host-`), go over nothing but TLS or this machine, are not seen by
//! scripts, and do not come along when another site sends a form.
//!
//! Spec: RFC 6265bis §4.1.3.2.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use shared::secret::Secret;

use crate::domain::signon::flow::{Flow, LASTS};

/// Who is visiting.
const VISIT: &str = "__Host-portcullis";

/// What is carried to a provider and back, each visit there under a name of its own.
const FLOW: &str = "__Host-portcullis-";

/// So much of the state tells one visit from another of the same browser.
const FLOW_LETTERS: usize = 8;

fn cookie<'a>(name: String, value: String) -> Cookie<'a> {
    Cookie::build(name, value).path("/").secure(true).http_only(true).same_site(SameSite::Lax).finish()
}

/// What the browser shows of who is visiting.
pub fn visit(request: &HttpRequest) -> Option<Secret> {
    let cookie = request.cookie(VISIT)?;
    let is_one = (20..=100).contains(&cookie.value().len());
    is_one.then(|| Secret::new(cookie.value()))
}

/// What it is to show from now on.
pub fn for_visit(value: &Secret) -> Cookie<'static> {
    cookie(VISIT.to_owned(), value.expose().to_owned())
}

fn flow_name(state: &str) -> Option<String> {
    let letters = state.get(..FLOW_LETTERS)?;
    letters
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        .then(|| format!("{FLOW}{letters}"))
}

/// What was carried to a provider and back with this state.
pub fn flow(request: &HttpRequest, state: &str) -> Option<String> {
    Some(request.cookie(&flow_name(state)?)?.value().to_owned())
}

/// What is to be carried.
pub fn for_flow(flow: &Flow, sealed: String) -> Cookie<'static> {
    let mut cookie = cookie(flow_name(&flow.state).unwrap_or_default(), sealed);
    cookie.set_max_age(Duration::seconds(LASTS.as_secs().cast_signed()));
    cookie
}

/// Takes that away again.
pub fn without_flow(state: &str) -> Option<Cookie<'static>> {
    let mut cookie = cookie(flow_name(state)?, String::new());
    cookie.make_removal();
    Some(cookie)
}
