//! Every operation of this server, its path, and the right it needs.
//!
//! *Invariant:* an operation exists only here; the access matrix of the tests is checked against [`Operation::ALL`],
//! so one without a row there does not pass. A repository name may contain `blobs`, `manifests`, `referrers` and
//! `uploads`: the patterns take the longest possible name, and no path of the protocol fits two of them.
//!
//! Spec: distribution-spec, "Endpoints".

use actix_web::dev::{ServiceFactory, ServiceRequest};
use actix_web::http::Method;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{Error, FromRequest, HttpResponse, Route, Scope, guard, web};
use shared::action::Action;
use shared::server::fallback::method_not_allowed;
use shared::server::metrics::http::measure;

use super::access::{Authenticated, Authorized, AuthorizedCatalog, AuthorizedOwner, Delete, Pull, Push};
use super::error::ApiError;
use super::state::RegistryState;
use super::{
    base, blobs, catalog, headers, manifests, referrers, repositories, search, tags, token_forward, uploads,
};

/// Everything a client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// end-1: is this a registry, and does it like my token?
    Base,
    /// All repositories.
    ListCatalog,
    /// Repositories by a part of their name; of version 1 of the protocol
    Search,
    /// A whole repository; ours
    DeleteRepository,
    /// end-8
    ListTags,
    /// end-3
    GetManifest,
    /// end-7
    PutManifest,
    /// end-9
    DeleteManifest,
    /// end-12
    ListReferrers,
    /// end-2
    GetBlob,
    /// end-10
    DeleteBlob,
    /// end-4, and end-11 for a mount
    StartUpload,
    /// end-13
    UploadStatus,
    /// end-5
    AppendUpload,
    /// end-6
    FinishUpload,
    /// end-14
    CancelUpload,
}

/// The right an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any valid token.
    Token,
    /// An action on the repository of the path.
    Repository(Action),
    /// The list of all repositories.
    Catalog,
    /// To own the repository of the path: `repository-delete` of our own token server, `*` of any other issuer.
    Ownership,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 16] = [
        Self::Base,
        Self::ListCatalog,
        Self::Search,
        Self::DeleteRepository,
        Self::ListTags,
        Self::GetManifest,
        Self::PutManifest,
        Self::DeleteManifest,
        Self::ListReferrers,
        Self::GetBlob,
        Self::DeleteBlob,
        Self::StartUpload,
        Self::UploadStatus,
        Self::AppendUpload,
        Self::FinishUpload,
        Self::CancelUpload,
    ];

    /// Its methods, as they stand in an `Allow` header.
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::ListCatalog | Self::Search | Self::ListTags => &["GET"],
            Self::Base | Self::GetManifest | Self::ListReferrers | Self::GetBlob | Self::UploadStatus => {
                &["GET", "HEAD"]
            }
            Self::PutManifest | Self::FinishUpload => &["PUT"],
            Self::DeleteRepository | Self::DeleteManifest | Self::DeleteBlob | Self::CancelUpload => {
                &["DELETE"]
            }
            Self::StartUpload => &["POST"],
            Self::AppendUpload => &["PATCH"],
        }
    }

    /// What its path is below.
    pub const fn root(self) -> &'static str {
        if matches!(self, Self::Search) { "/v1" } else { "/v2" }
    }

    /// Its path below that.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Base => "/",
            Self::ListCatalog => "/_catalog",
            Self::Search => "/search",
            Self::DeleteRepository => "/_portcullis/repositories/{name:.+}",
            Self::ListTags => "/{name:.+}/tags/list",
            Self::GetManifest | Self::PutManifest | Self::DeleteManifest => {
                "/{name:.+}/manifests/{reference:[^/]+}"
            }
            Self::ListReferrers => "/{name:.+}/referrers/{digest:[^/]+}",
            Self::GetBlob | Self::DeleteBlob => "/{name:.+}/blobs/{digest:[^/]+}",
            Self::StartUpload => "/{name:.+}/blobs/uploads/",
            Self::UploadStatus | Self::AppendUpload | Self::FinishUpload | Self::CancelUpload => {
                "/{name:.+}/blobs/uploads/{id:[^/]+}"
            }
        }
    }

    /// What the caller must hold.
    pub const fn need(self) -> Need {
        match self {
            Self::Base => Need::Token,
            Self::ListCatalog | Self::Search => Need::Catalog,
            Self::ListTags | Self::GetManifest | Self::ListReferrers | Self::GetBlob => {
                Need::Repository(Action::Pull)
            }
            Self::DeleteRepository => Need::Ownership,
            // Whoever may push may also look at and give up the upload.
            Self::PutManifest
            | Self::StartUpload
            | Self::UploadStatus
            | Self::AppendUpload
            | Self::FinishUpload
            | Self::CancelUpload => Need::Repository(Action::Push),
            Self::DeleteManifest | Self::DeleteBlob => Need::Repository(Action::Delete),
        }
    }

    /// What the distribution registry calls its handler in metrics, where it has one.
    const fn handler(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::ListCatalog => "catalog",
            Self::Search => "search",
            Self::DeleteRepository => "repository",
            Self::ListTags => "tags",
            Self::GetManifest | Self::PutManifest | Self::DeleteManifest => "manifest",
            Self::ListReferrers => "referrers",
            Self::GetBlob | Self::DeleteBlob => "blob",
            Self::StartUpload => "blob_upload",
            Self::UploadStatus | Self::AppendUpload | Self::FinishUpload | Self::CancelUpload => {
                "blob_upload_chunk"
            }
        }
    }

    /// Whether it changes what is stored, so that a read-only registry refuses it.
    pub const fn writes(self) -> bool {
        match self {
            Self::Base
            | Self::ListCatalog
            | Self::Search
            | Self::ListTags
            | Self::GetManifest
            | Self::ListReferrers
            | Self::GetBlob
            | Self::UploadStatus => false,
            Self::DeleteRepository
            | Self::PutManifest
            | Self::DeleteManifest
            | Self::DeleteBlob
            | Self::StartUpload
            | Self::AppendUpload
            | Self::FinishUpload
            | Self::CancelUpload => true,
        }
    }

    /// Who may not do it anyway is told that first, as the distribution registry does.
    fn refusing_route(self) -> Route {
        match self.need() {
            Need::Token => web::to(refuse::<Authenticated>),
            Need::Catalog => web::to(refuse::<AuthorizedCatalog>),
            Need::Ownership => web::to(refuse::<AuthorizedOwner>),
            Need::Repository(Action::Pull) => web::to(refuse::<Authorized<Pull>>),
            Need::Repository(Action::Push) => web::to(refuse::<Authorized<Push>>),
            Need::Repository(_) => web::to(refuse::<Authorized<Delete>>),
        }
    }

    fn route(self) -> Route {
        match self {
            Self::Base => web::to(base::check),
            Self::ListCatalog => web::to(catalog::list),
            Self::Search => web::to(search::find),
            Self::DeleteRepository => web::to(repositories::delete),
            Self::ListTags => web::to(tags::list),
            Self::GetManifest => web::to(manifests::get),
            Self::PutManifest => web::to(manifests::put),
            Self::DeleteManifest => web::to(manifests::delete),
            Self::ListReferrers => web::to(referrers::list),
            Self::GetBlob => web::to(blobs::get),
            Self::DeleteBlob => web::to(blobs::delete),
            Self::StartUpload => web::to(uploads::start),
            Self::UploadStatus => web::to(uploads::status),
            Self::AppendUpload => web::to(uploads::append),
            Self::FinishUpload => web::to(uploads::finish),
            Self::CancelUpload => web::to(uploads::cancel),
        }
    }
}

async fn refuse<A: FromRequest>(_caller: A) -> Result<HttpResponse, ApiError> {
    Err(ApiError::ReadOnly)
}

/// Registers every operation.
pub(crate) fn configure(config: &mut web::ServiceConfig, state: &web::Data<RegistryState>) {
    config.app_data(state.clone());
    config.route("/", web::to(base::root));
    if let Some(path) = token_forward::path(state) {
        // Both spellings are found in settings of the distribution registry.
        let path = path.trim_end_matches('/');
        let endpoint = web::resource([path.to_owned(), format!("{path}/")])
            .route(web::get().to(token_forward::forward))
            .route(web::post().to(token_forward::forward))
            .route(web::method(Method::OPTIONS).to(|| base::options("GET, POST")))
            .default_service(method_not_allowed("GET, POST"));
        config.service(endpoint);
        let below = web::resource(token_forward::BELOW.map(|name| format!("{path}/{name}")))
            .route(web::post().to(token_forward::forward_below))
            .default_service(method_not_allowed("POST"));
        config.service(below);
    }
    let mut scope = web::scope(&state.locations.root()).wrap(DefaultHeaders::new().add(headers::API_VERSION));
    // Uploads come before blobs, so that `blobs/uploads` without its slash is not taken for a digest.
    let groups: [(&str, &'static [Operation], &'static str); 9] = [
        ("", &[Operation::Base], "GET, HEAD"),
        ("/_catalog", &[Operation::ListCatalog], "GET"),
        (Operation::DeleteRepository.path(), &[Operation::DeleteRepository], "DELETE"),
        (Operation::ListTags.path(), &[Operation::ListTags], "GET"),
        ("/{name:.+}/blobs/uploads", &[Operation::StartUpload], "POST"),
        (
            Operation::UploadStatus.path(),
            &[
                Operation::UploadStatus,
                Operation::AppendUpload,
                Operation::FinishUpload,
                Operation::CancelUpload,
            ],
            "DELETE, GET, HEAD, PATCH, PUT",
        ),
        (
            Operation::GetManifest.path(),
            &[Operation::GetManifest, Operation::PutManifest, Operation::DeleteManifest],
            "DELETE, GET, HEAD, PUT",
        ),
        (Operation::ListReferrers.path(), &[Operation::ListReferrers], "GET, HEAD"),
        (Operation::GetBlob.path(), &[Operation::GetBlob, Operation::DeleteBlob], "DELETE, GET, HEAD"),
    ];
    for (path, operations, allow) in groups {
        scope = add(scope, state, path, operations, allow);
    }
    config.service(scope);
    // Engines ask under no prefix.
    let root = web::scope(Operation::Search.root()).route("/_ping", web::get().to(search::ping));
    config.service(add(root, state, Operation::Search.path(), &[Operation::Search], "GET"));
}

/// Registers the operations of one path.
fn add<T>(
    scope: Scope<T>,
    state: &RegistryState,
    path: &str,
    operations: &'static [Operation],
    allow: &'static str,
) -> Scope<T>
where
    T: ServiceFactory<ServiceRequest, Config = (), Error = Error, InitError = ()>,
{
    // With a slash behind it a path means the same. A redirect would turn a POST into a GET in many clients.
    // That one comes first, because a name at the end of a path would take the slash.
    let mut resource = web::resource([format!("{path}/"), path.to_owned()]);
    resource = resource.route(web::method(Method::OPTIONS).to(move || base::options(allow)));
    for operation in operations {
        let wanted = operation.methods();
        let methods = guard::fn_guard(move |context| wanted.contains(&context.head().method.as_str()));
        let route = if state.read_only && operation.writes() {
            operation.refusing_route()
        } else {
            operation.route()
        };
        resource = resource.route(route.guard(methods));
    }
    let resource = resource.default_service(method_not_allowed(allow));
    let handler = operations.first().map(|operation| operation.handler());
    match state.metrics.as_ref().zip(handler) {
        Some((metrics, handler)) => {
            let handler = metrics.handler(handler);
            scope
                .service(resource.wrap(from_fn(move |request, next| measure(handler.clone(), request, next))))
        }
        None => scope.service(resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_asked_with_get_or_head_writes() {
        for operation in Operation::ALL {
            let reads = operation.methods().iter().all(|method| matches!(*method, "GET" | "HEAD"));
            assert_eq!(operation.writes(), !reads, "{operation:?}");
        }
    }

    #[test]
    fn the_manual_lists_every_operation() {
        let manual = include_str!("../../README.md");
        for operation in Operation::ALL {
            let path = operation
                .path()
                .replace(":.+}", "}")
                .replace(":[^/]+}", "}")
                .replace('{', "<")
                .replace('}', ">");
            let need = match operation.need() {
                Need::Token => "any valid token".to_owned(),
                Need::Catalog => "`registry:catalog:*`".to_owned(),
                Need::Ownership => "`repository-delete`, or `*` of another issuer".to_owned(),
                Need::Repository(action) => format!("`{action}`"),
            };
            let (methods, root) = (operation.methods().join(", "), operation.root());
            let row = format!("| {methods} | `{root}{path}` | {need} |");
            assert!(manual.contains(&row), "the endpoint table of the manual lacks: {row}");
        }
    }
}
