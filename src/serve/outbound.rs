//! Requests a guest sends: denied unless the host name is on the list.

use super::talk::Talk;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

/// One entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
}

impl AllowedHost {
    /// Whether a request to this place is allowed by the entry.
    #[must_use]
    pub fn matches(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host_fits = match self.host.strip_prefix("*.") {
            Some(domain) => {
                host.len() > domain.len() + 1
                    && host.ends_with(domain)
                    && host.as_bytes()[host.len() - domain.len() - 1] == b'.'
            }
            None => self.host == "*" || self.host == host,
        };
        host_fits && self.scheme.as_ref().is_none_or(|own| own == scheme) && self.port.is_none_or(|own| own == port)
    }
}

impl std::str::FromStr for AllowedHost {
    type Err = String;

    /// Reads `HOST`, `HOST:PORT`, `http://HOST…`, `*.DOMAIN` or `*`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a host: write for example api.example.com, localhost:3000, *.example.com or https://api.example.com"
            )
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest == "*" || rest.starts_with("*.") {
            let (host, port) = match rest.split_once(':') {
                Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
                None => (rest, None),
            };
            if host[1..].contains('*') || host == "*." {
                return Err(wrong());
            }
            return Ok(Self {
                scheme,
                host: host.to_ascii_lowercase(),
                port,
            });
        }
        let authority: http::uri::Authority = rest.parse().map_err(|_| wrong())?;
        if authority.host().is_empty() || authority.as_str().contains(['@', '*']) || rest.contains('/') {
            return Err(wrong());
        }
        Ok(Self {
            scheme,
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16(),
        })
    }
}

/// The way out for all guests of a host: the list, and a client that is built when it is first needed.
pub(super) struct Outbound {
    allowed: Vec<AllowedHost>,
    talk: Talk,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Outbound {
    /// A way out to the `allowed` hosts.
    pub(super) fn new(allowed: Vec<AllowedHost>, talk: Talk) -> Self {
        Self {
            allowed,
            talk,
            client: OnceLock::new(),
        }
    }

    fn admit(&self, uri: &http::Uri) -> Result<(), Error> {
        let scheme = uri.scheme_str().unwrap_or("https");
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        if self.allowed.iter().any(|entry| entry.matches(scheme, &host, port)) {
            return Ok(());
        }
        let entry = match uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        self.talk.note(format!(
            "the guest's request to {scheme}://{entry} was denied; to allow it add --allow-host {entry}"
        ));
        Err(Error::InternalError(Some(format!(
            "the request to {entry} is not allowed by this host; to allow it add --allow-host {entry}"
        ))))
    }

    fn client(&self) -> Result<reqwest::Client, Error> {
        self.client
            .get_or_init(|| {
                // Another part of the program may have installed one; either does.
                let _ = rustls::crypto::ring::default_provider().install_default();
                // The guest sees redirects and decides itself: a redirect must not lead around the list.
                reqwest::Client::builder()
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| error.to_string())
            })
            .clone()
            .map_err(|reason| Error::InternalError(Some(reason)))
    }
}

/// The hooks of one guest.
pub(super) struct Hooks(pub(super) Arc<Outbound>);

type IoDone = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, IoDone), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: OnceLock<ForbiddenHeaderFilter> = OnceLock::new();
        Arc::clone(FILTER.get_or_init(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name))))
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        // A guest writes at most 4 KiB per blocking call: with 16 of them buffered, most answers are complete before
        // the guest would have to wait for the connection.
        16
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        64 << 10
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _guest_done: IoDone,
    ) -> Sending {
        let outbound = Arc::clone(&self.0);
        Box::new(async move {
            outbound.admit(request.uri())?;
            send(outbound.client()?, request, options.unwrap_or_default()).await
        })
    }
}

async fn send(
    client: reqwest::Client,
    request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Result<(http::Response<WasiBody>, IoDone), Error> {
    let (mut parts, body) = request.into_parts();
    let url = reqwest::Url::parse(&parts.uri.to_string()).map_err(|_| Error::HttpRequestUriInvalid)?;
    // It follows from the URL; two of them would make the request invalid.
    parts.headers.remove(http::header::HOST);
    let mut sending = client.request(parts.method, url).headers(parts.headers);
    if !hyper::body::Body::is_end_stream(&body) {
        let data = body
            .into_data_stream()
            .map_err(|error| std::io::Error::other(error.to_string()));
        sending = sending.body(reqwest::Body::wrap_stream(data));
    }
    // A request has no separate deadline for connecting here: connections are shared between requests.
    let first_byte = [options.connect_timeout, options.first_byte_timeout]
        .into_iter()
        .flatten()
        .reduce(Duration::saturating_add);
    let response = match first_byte {
        Some(limit) => tokio::time::timeout(limit, sending.send())
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?,
        None => sending.send().await,
    };
    let response: http::Response<reqwest::Body> = response.map_err(|error| explain(&error))?.into();
    let between = options.between_bytes_timeout;
    let (parts, body) = response.into_parts();
    let frames = futures_util::stream::unfold(Some(body.into_data_stream()), move |stream| async move {
        let mut stream = stream?;
        let next = match between {
            Some(limit) => match tokio::time::timeout(limit, stream.next()).await {
                Ok(next) => next,
                Err(_) => return Some((Err(Error::ConnectionReadTimeout), None)),
            },
            None => stream.next().await,
        };
        match next? {
            Ok(data) => Some((Ok(Frame::data(data)), Some(stream))),
            Err(error) => Some((Err(explain(&error)), None)),
        }
    });
    let body = BodyExt::boxed_unsync(StreamBody::new(frames));
    Ok((http::Response::from_parts(parts, body), Box::new(async { Ok(()) })))
}

/// The `wasi:http` error which says most about a failed request.
fn explain(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::ConnectionTimeout;
    }
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => return Error::ConnectionRefused,
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::ConnectionAborted => {
                    return Error::ConnectionTerminated;
                }
                std::io::ErrorKind::TimedOut => return Error::ConnectionTimeout,
                _ => {}
            }
        }
        cause = inner.source();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    if error.is_connect() && text.contains("lookup") {
        return Error::DnsError {
            rcode: Some(text),
            info_code: None,
        };
    }
    Error::InternalError(Some(text))
}

#[cfg(test)]
mod tests {
    use super::AllowedHost;

    #[test]
    fn entries_match_what_they_say() {
        let cases = [
            ("api.example.com", "https", "api.example.com", 443, true),
            ("api.example.com", "http", "api.example.com", 8080, true),
            ("api.example.com", "https", "evil-api.example.com", 443, false),
            ("localhost:3000", "http", "localhost", 3000, true),
            ("localhost:3000", "http", "localhost", 3001, false),
            ("*.example.com", "https", "a.b.example.com", 443, true),
            ("*.example.com", "https", "example.com", 443, false),
            ("*.example.com", "https", "evilexample.com", 443, false),
            ("https://example.com", "http", "example.com", 80, false),
            ("API.Example.com", "https", "api.example.com", 443, true),
            ("[::1]:8080", "http", "[::1]", 8080, true),
            ("*", "http", "anything", 1, true),
        ];
        for (entry, scheme, host, port, expected) in cases {
            let parsed: AllowedHost = entry.parse().expect(entry);
            assert_eq!(
                parsed.matches(scheme, host, port),
                expected,
                "{entry} against {scheme}://{host}:{port}"
            );
        }
        for entry in ["", "ftp://x", "a b", "user@host", "*.", "ex*mple.com", "host/path"] {
            assert!(entry.parse::<AllowedHost>().is_err(), "{entry}");
        }
    }
}
