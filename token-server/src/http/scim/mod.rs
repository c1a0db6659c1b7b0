//! SCIM 2.0 below `/scim/v2`, for identity providers that make and remove users.
//!
//! Reading order: who calls ([`call`]), what is said about the service ([`discovery`]), what things look like
//! ([`representation`], of which a client can ask for parts by [`selection`]), what is done with them ([`users`],
//! [`groups`]), and how refusals look ([`refusal`]).
//!
//! *Invariant:* every answer below `/scim`, refusals included, is as SCIM has it; nothing is done for whoever has not
//! shown the secret of a provider for which the settings allow it.
//!
//! Spec: RFC 7643, RFC 7644.

pub mod call;

pub mod discovery;

pub mod groups;

pub mod refusal;

pub mod representation;

pub mod selection;

pub mod users;

use actix_web::http::Method;
use actix_web::web;

/// The media type.
pub const SCIM: &str = "application/scim+json";

/// Where it is.
pub const BASE: &str = "/scim/v2";

/// Routes for all of it.
pub fn configure(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("{BASE}{path}"));
    let only = |methods: &[Method]| web::to(refusal::method_not_allowed(methods));
    config
        .service(
            at("/Users")
                .route(web::get().to(users::list))
                .route(web::post().to(users::add))
                .default_service(only(&[Method::GET, Method::POST])),
        )
        .service(
            at("/Users/{id}")
                .route(web::get().to(users::show))
                .route(web::put().to(users::replace))
                .route(web::patch().to(users::patch))
                .route(web::delete().to(users::remove))
                .default_service(only(&[Method::GET, Method::PUT, Method::PATCH, Method::DELETE])),
        )
        .service(
            at("/Groups")
                .route(web::get().to(groups::list))
                .route(web::post().to(groups::add))
                .default_service(only(&[Method::GET, Method::POST])),
        )
        .service(
            at("/Groups/{id}")
                .route(web::get().to(groups::show))
                .route(web::put().to(groups::replace))
                .route(web::patch().to(groups::patch))
                .route(web::delete().to(groups::remove))
                .default_service(only(&[Method::GET, Method::PUT, Method::PATCH, Method::DELETE])),
        );
    for path in ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"] {
        config.service(at(path).route(web::get().to(discovery::show)).default_service(only(&[Method::GET])));
    }
    for path in ["/ResourceTypes/{id}", "/Schemas/{id}"] {
        config.service(
            at(path).route(web::get().to(discovery::show_one)).default_service(only(&[Method::GET])),
        );
    }
    config
        .service(at("/Bulk").default_service(web::to(refusal::no_bulk)))
        .service(web::scope("/scim").default_service(web::to(refusal::nowhere)));
}
