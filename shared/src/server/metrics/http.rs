//! Requests by handler, method and status, under the names and with the buckets of the distribution registry.
//!
//! A request counts when its answer has ended, and its duration is until then: for a download that is the last byte.
//! Its size is what it announced. One whose client left before an answer counts with the code 499.
//!
//! *Invariant:* after the first request of a kind, counting one allocates nothing: what it adds to is found by index.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::Metrics;

/// The last is for every other method.
const METHODS: [&str; 8] = ["get", "head", "put", "post", "patch", "delete", "options", "unknown"];

/// Statuses that have a place of their own; any other is looked up.
const CODES: [u16; 24] = [
    200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 405, 408, 409, 412, 413, 416, 429, 499, 500,
    501, 502, 503,
];

const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0];

/// A client that left before an answer; the number is customary.
pub(in crate::server) const CLIENT_LEFT: u16 = 499;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandlerLabel {
    handler: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    handler: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    handler: &'static str,
    method: &'static str,
    code: u16,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of all handlers.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Histograms<MethodLabels>,
    request_sizes: Histograms<HandlerLabel>,
    response_sizes: Histograms<HandlerLabel>,
    in_flight: Family<HandlerLabel, Gauge>,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1024.0, 2.0, 22))
}

impl HttpMetrics {
    /// Registers them under names that begin with `prefix`.
    pub fn register(metrics: &mut Metrics, prefix: &str) -> Self {
        let this = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            request_sizes: Family::new_with_constructor(sizes),
            response_sizes: Family::new_with_constructor(sizes),
            in_flight: Family::default(),
        };
        let name = |rest: &str| format!("{prefix}_http_{rest}");
        metrics.register(name("in_flight_requests"), "The in-flight HTTP requests", this.in_flight.clone());
        metrics.register(name("requests"), "Total number of HTTP requests made", this.requests.clone());
        metrics.register(
            name("request_duration_seconds"),
            "The HTTP request latencies in seconds",
            this.durations.clone(),
        );
        metrics.register(
            name("request_size_bytes"),
            "The HTTP request sizes in bytes",
            this.request_sizes.clone(),
        );
        metrics.register(
            name("response_size_bytes"),
            "The HTTP response sizes in bytes",
            this.response_sizes.clone(),
        );
        this
    }

    /// What the requests of one handler add to.
    pub fn handler(&self, handler: &'static str) -> Arc<HandlerMetrics> {
        let label = HandlerLabel { handler };
        Arc::new(HandlerMetrics {
            handler,
            in_flight: self.in_flight.get_or_create_owned(&label),
            request_sizes: self.request_sizes.get_or_create_owned(&label),
            response_sizes: self.response_sizes.get_or_create_owned(&label),
            methods: METHODS.map(|method| MethodMetrics { method, ..MethodMetrics::default() }),
            requests: self.requests.clone(),
            durations: self.durations.clone(),
        })
    }
}

/// The metrics of one handler.
#[derive(Debug)]
pub struct HandlerMetrics {
    handler: &'static str,
    in_flight: Gauge,
    request_sizes: Histogram,
    response_sizes: Histogram,
    methods: [MethodMetrics; METHODS.len()],
    requests: Family<RequestLabels, Counter>,
    durations: Histograms<MethodLabels>,
}

#[derive(Debug, Default)]
struct MethodMetrics {
    method: &'static str,
    duration: OnceLock<Histogram>,
    requests: [OnceLock<Counter>; CODES.len()],
}

impl HandlerMetrics {
    fn observe(&self, method: usize, status: u16, seconds: f64, received: u64, sent: u64) {
        let (handler, metrics) = (self.handler, &self.methods[method]);
        let method = metrics.method;
        let labels = || RequestLabels { handler, method, code: status };
        match CODES.binary_search(&status) {
            Ok(place) => {
                metrics.requests[place].get_or_init(|| self.requests.get_or_create_owned(&labels())).inc();
            }
            Err(_) => {
                self.requests.get_or_create(&labels()).inc();
            }
        }
        let duration = metrics
            .duration
            .get_or_init(|| self.durations.get_or_create_owned(&MethodLabels { handler, method }));
        duration.observe(seconds);
        self.request_sizes.observe(as_float(received));
        self.response_sizes.observe(as_float(sent));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size in a histogram need not be exact")]
const fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

/// A request in flight; it counts when its answer has ended.
#[derive(Debug)]
pub(in crate::server) struct Handling {
    metrics: Arc<HandlerMetrics>,
    method: usize,
    began: Instant,
    received: u64,
    end: Option<(u16, u64)>,
}

impl Handling {
    fn begin(metrics: Arc<HandlerMetrics>, request: &ServiceRequest) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            method: method_index(request.method()),
            began: Instant::now(),
            received: announced_bytes(request),
            end: None,
        }
    }

    pub(in crate::server) fn end(mut self, status: u16, sent: u64) {
        self.end = Some((status, sent));
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let lost = if thread::panicking() { 500 } else { CLIENT_LEFT };
        let (status, sent) = self.end.unwrap_or((lost, 0));
        let seconds = self.began.elapsed().as_secs_f64();
        self.metrics.observe(self.method, status, seconds, self.received, sent);
        self.metrics.in_flight.dec();
    }
}

fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::PUT => 2,
        Method::POST => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::OPTIONS => 6,
        _ => METHODS.len() - 1,
    }
}

/// The head as it would be written plainly, and the body as far as its length was said.
fn announced_bytes(request: &ServiceRequest) -> u64 {
    let headers = request.headers();
    let head: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let line = request.method().as_str().len() + request.uri().path().len() + "HTTP/1.1".len();
    let body = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    ((head + line) as u64).saturating_add(body.unwrap_or(0))
}

/// Counts the requests of a resource; a middleware of that resource.
pub async fn measure(
    metrics: Arc<HandlerMetrics>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let handling = Handling::begin(metrics, &request);
    let response = next.call(request).await?;
    // Whoever watches the body takes it from there.
    response.request().extensions_mut().insert(handling);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn handled(end: impl FnOnce(Handling)) -> String {
        let mut metrics = Metrics::new("registry", "1.2.3");
        let http = HttpMetrics::register(&mut metrics, "registry");
        let request = TestRequest::put().uri("/v2/").insert_header((CONTENT_LENGTH, "5000")).to_srv_request();
        let handling = Handling::begin(http.handler("blob_upload_chunk"), &request);
        assert!(
            metrics.text().contains("registry_http_in_flight_requests{handler=\"blob_upload_chunk\"} 1\n")
        );
        end(handling);
        metrics.text()
    }

    #[test]
    fn a_request_counts_when_its_answer_has_ended() {
        let text = handled(|handling| handling.end(201, 100));
        for expected in [
            "# TYPE registry_http_requests_total counter\n",
            "registry_http_requests_total{handler=\"blob_upload_chunk\",method=\"put\",code=\"201\"} 1\n",
            "registry_http_in_flight_requests{handler=\"blob_upload_chunk\"} 0\n",
            "registry_http_request_duration_seconds_count{handler=\"blob_upload_chunk\",method=\"put\"} 1\n",
            "registry_http_request_duration_seconds_bucket{le=\"60\",handler=\"blob_upload_chunk\",method=\"put\"} 1\n",
            "registry_http_request_size_bytes_bucket{le=\"4096\",handler=\"blob_upload_chunk\"} 0\n",
            "registry_http_request_size_bytes_bucket{le=\"8192\",handler=\"blob_upload_chunk\"} 1\n",
            "registry_http_response_size_bytes_bucket{le=\"2.147483648e+09\",handler=\"blob_upload_chunk\"} 1\n",
            "registry_http_response_size_bytes_sum{handler=\"blob_upload_chunk\"} 100.0\n",
            "registry_build_info{version=\"1.2.3\"} 1\n",
            "# TYPE process_cpu_seconds_total counter\n",
        ] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    }

    #[test]
    fn an_unusual_status_counts_too() {
        let text = handled(|handling| handling.end(418, 0));
        assert!(text.contains("method=\"put\",code=\"418\"} 1\n"), "{text}");
    }

    #[test]
    fn a_client_that_left_is_told_from_a_panic() {
        let text = handled(drop);
        assert!(text.contains("method=\"put\",code=\"499\"} 1\n"), "{text}");
        let text = handled(|handling| {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _handling = handling;
                std::panic::resume_unwind(Box::new(()));
            }));
            assert!(panicked.is_err());
        });
        assert!(text.contains("method=\"put\",code=\"500\"} 1\n"), "{text}");
    }

    #[test]
    fn the_places_of_codes_are_in_order() {
        assert!(CODES.is_sorted());
    }
}
