//! One address of the API with a method: what it takes, what it answers, who may come, and what it runs.
//!
//! *Invariant:* an address that is not open to everybody hands its handler a login that was checked in this request,
//! and parameters of which none is unknown.

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, Route};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::call::{self, Call};
use super::media_type::{Format, JSON_ONLY, JSON_OR_YAML};
use super::parameters::{LIMIT, Parameter};
use super::reply::Reply;
use super::request_body::MAX_BODY_BYTES;
use crate::http::Services;
use crate::http::error::{ApiError, Shape};

/// Who may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a login.
    Everybody,
    /// Users who log in; what they may do is for the domain to say.
    Users,
}

type Run = fn(Call) -> LocalBoxFuture<'static, Result<Reply, ApiError>>;

/// How it is done.
#[derive(Clone, Copy)]
enum Handler {
    /// By a function that takes a call.
    Call(Run),
    /// By a function that was there before, and checks the login itself.
    Own(fn() -> Route),
}

/// A type as the description of the API has it.
#[derive(Clone)]
pub struct Described {
    /// Its name there.
    pub name: String,
    /// Its schema.
    pub schema: RefOr<Schema>,
    /// The schemas it refers to.
    pub others: Vec<(String, RefOr<Schema>)>,
}

impl Described {
    fn of<T: ToSchema>() -> Self {
        let mut others = Vec::new();
        T::schemas(&mut others);
        Self { name: T::name().into_owned(), schema: <T as PartialSchema>::schema(), others }
    }
}

/// What is answered when all goes well.
#[derive(Clone)]
pub enum Content {
    /// Nothing: 204.
    Nothing,
    /// One thing as JSON.
    One(Described),
    /// A page of a list.
    Page(Described),
    /// Something that is no JSON of ours, of this media type.
    Text(&'static str),
    /// One JSON object a line.
    Lines(Described),
}

/// One address with a method.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with `{…}` where a name goes.
    pub path: &'static str,
    /// Its name in the description.
    pub id: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Who may come.
    pub access: Access,
    /// Parameters of the query; others are refused.
    pub query: Vec<Parameter>,
    /// What it takes.
    pub body: Option<Described>,
    /// In which formats it takes that.
    pub formats: &'static [Format],
    /// How long that may be.
    pub max_body_bytes: usize,
    /// The status when all goes well.
    pub status: u16,
    /// What is answered then.
    pub content: Content,
    /// Whether it answers in YAML as well, for who wants that.
    pub answers_yaml: bool,
    /// What 201 without a body says, where that is answered as well.
    pub makes: Option<&'static str>,
    /// Whether it compares an `ETag` before it changes something.
    pub is_conditional: bool,
    handler: Handler,
}

impl Endpoint {
    /// An address for users, done by a function that takes a call.
    pub fn new(method: Method, path: &'static str, id: &'static str, run: Run) -> Self {
        Self::with(method, path, id, Handler::Call(run))
    }

    /// An address whose handler reads the request and checks the login itself.
    pub fn own(method: Method, path: &'static str, id: &'static str, route: fn() -> Route) -> Self {
        Self::with(method, path, id, Handler::Own(route))
    }

    fn with(method: Method, path: &'static str, id: &'static str, handler: Handler) -> Self {
        Self {
            method,
            path,
            id,
            summary: "",
            access: Access::Users,
            query: Vec::new(),
            body: None,
            formats: JSON_ONLY,
            max_body_bytes: MAX_BODY_BYTES,
            status: 204,
            content: Content::Nothing,
            answers_yaml: false,
            makes: None,
            is_conditional: false,
            handler,
        }
    }

    /// Says what it does.
    #[must_use]
    pub fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// Lets everybody come.
    #[must_use]
    pub fn open(self) -> Self {
        Self { access: Access::Everybody, ..self }
    }

    /// Takes these parameters.
    #[must_use]
    pub fn query(mut self, parameters: &[Parameter]) -> Self {
        self.query.extend_from_slice(parameters);
        self
    }

    /// Takes this body.
    #[must_use]
    pub fn body<T: ToSchema>(self) -> Self {
        Self { body: Some(Described::of::<T>()), ..self }
    }

    /// Takes the body in YAML as well.
    #[must_use]
    pub fn or_yaml(self) -> Self {
        Self { formats: JSON_OR_YAML, ..self }
    }

    /// Takes a body of up to so many bytes.
    #[must_use]
    pub fn up_to(self, max_body_bytes: usize) -> Self {
        Self { max_body_bytes, ..self }
    }

    /// Answers in YAML as well.
    #[must_use]
    pub fn in_yaml_too(self) -> Self {
        Self { answers_yaml: true, ..self }
    }

    /// Answers with one thing.
    #[must_use]
    pub fn one<T: ToSchema + Serialize>(self) -> Self {
        Self { status: 200, content: Content::One(Described::of::<T>()), ..self }
    }

    /// Answers with what was made.
    #[must_use]
    pub fn made<T: ToSchema + Serialize>(self) -> Self {
        Self { status: 201, ..self.one::<T>() }
    }

    /// Answers with a page of a list, and takes the parameters for turning pages.
    #[must_use]
    pub fn page<T: ToSchema + Serialize>(self) -> Self {
        Self { status: 200, content: Content::Page(Described::of::<T>()), ..self.query(&LIMIT) }
    }

    /// Answers with one object a line.
    #[must_use]
    pub fn lines<T: ToSchema + Serialize>(self) -> Self {
        Self { status: 200, content: Content::Lines(Described::of::<T>()), ..self }
    }

    /// Answers with a text.
    #[must_use]
    pub fn text(self, media_type: &'static str) -> Self {
        Self { status: 200, content: Content::Text(media_type), ..self }
    }

    /// Answers 201 where something is there now and was not before.
    #[must_use]
    pub fn makes(self, about: &'static str) -> Self {
        Self { makes: Some(about), ..self }
    }

    /// Compares an `ETag` before it changes something.
    #[must_use]
    pub fn conditional(self) -> Self {
        Self { is_conditional: true, ..self }
    }

    /// The methods it answers to: HEAD where GET is.
    pub fn methods(&self) -> Vec<Method> {
        if self.method == Method::GET { vec![Method::GET, Method::HEAD] } else { vec![self.method.clone()] }
    }

    /// The names in the path.
    pub fn path_names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|part| part.split('}').next())
    }

    pub(super) fn routes(self) -> Vec<Route> {
        let endpoint = std::rc::Rc::new(self);
        let run = match endpoint.handler {
            Handler::Own(route) => return vec![route()],
            Handler::Call(run) => run,
        };
        let routes = endpoint.methods().into_iter().map(|method| {
            let endpoint = endpoint.clone();
            web::method(method).to(move |request: HttpRequest, services: Data<Services>, payload: Payload| {
                answer(endpoint.clone(), run, request, services, payload)
            })
        });
        routes.collect()
    }
}

async fn answer(
    endpoint: std::rc::Rc<Endpoint>,
    run: Run,
    request: HttpRequest,
    services: Data<Services>,
    payload: Payload,
) -> HttpResponse {
    let answer = async {
        let call = call::receive(&endpoint, &request, services, payload).await?;
        let changing = call.changing();
        let caller = if changing.is_some() { call.subject()?.uid() } else { None };
        let turn = match caller {
            Some(caller) => Some(call.services.changes.take(caller).await.ok_or(ApiError::ManyChanges)?),
            None => None,
        };
        let outcome = run(call).await;
        drop(turn);
        if let (Some(administration), Err(ApiError::Domain(error))) = (changing, &outcome) {
            administration.record_refusal(error).await?;
        }
        outcome?.render(&request)
    };
    answer.await.unwrap_or_else(|error| error.render(&request, Shape::Problem))
}

/// A path as the router takes it: what can have slashes in it goes to the end.
pub(super) fn pattern(path: &str) -> String {
    path.replace("{pattern}", "{pattern:.+}").replace("{member}", "{member:.+}")
}
