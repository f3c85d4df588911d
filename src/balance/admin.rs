//! The listener for operators: `/metrics` for Prometheus, `/status` as JSON.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;

use super::metrics;
use super::proxy::Proxy;

/// Answers operators until it is dropped.
pub(super) async fn serve(listener: TcpListener, proxy: Arc<Proxy>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The next one may do better; see `accept` of the main listener for what is waited for.
            Err(_) => {
                tokio::task::yield_now().await;
                continue;
            }
        };
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&request, &proxy);
                async move { Ok::<_, Infallible>(response) }
            });
            // A broken connection of an operator is the operator's own affair.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn respond(request: &Request<Incoming>, proxy: &Proxy) -> Response<Full<Bytes>> {
    let (status, kind, text) = match request.uri().path() {
        "/metrics" => {
            let text = metrics::render(&proxy.pool.members(), &proxy.refused());
            (StatusCode::OK, "text/plain; version=0.0.4", text)
        }
        "/status" => (StatusCode::OK, "application/json", format!("{:#}\n", status(proxy))),
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "try /metrics or /status\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn status(proxy: &Proxy) -> serde_json::Value {
    let members = proxy.pool.members();
    let groups: Vec<_> = members
        .iter()
        .map(|member| {
            let targets: Vec<_> = member
                .targets
                .iter()
                .map(|target| {
                    json!({
                        "address": target.authority.as_str(),
                        "healthy": target.is_healthy(),
                        "in_flight": target.in_flight(),
                    })
                })
                .collect();
            json!({
                "name": member.info.name,
                "weight": member.weight,
                "requests": member.info.metrics.requests(),
                "targets": targets,
            })
        })
        .collect();
    json!({ "groups": groups })
}
