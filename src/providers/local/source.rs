//! Where components come from: the project, this program, a registry, the web.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWrite;

use super::{Local, cannot};
use crate::id::hex;
use crate::kind::{Error, Result};

/// The largest component that is taken: against a wrong link, not against honest size.
const LARGEST: u64 = 256 << 20;

/// The layers that hold a component: the CNCF layout, and the one Spin wrote before it.
const LAYERS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];

/// The component inside this program.
const HELLO: &[u8] = include_bytes!("../../../samples/hello/hello.wasm");

/// A place that holds a component.
#[derive(Debug, PartialEq)]
pub(super) enum Source<'a> {
    /// `builtin:hello`.
    Hello,
    /// `oci://REFERENCE`.
    Oci(&'a str),
    /// `https://…`, or `http://` on this machine.
    Web(&'a str),
    /// A path inside the project folder.
    File(&'a str),
}

impl<'a> Source<'a> {
    /// Reads the text of a stack file.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let invalid = |message: String| Error::invalid(message).field("source");
        if let Some(name) = text.strip_prefix("builtin:") {
            return match name {
                "hello" => Ok(Self::Hello),
                _ => Err(invalid(format!("there is no built-in component `{name}`")).help("there is `builtin:hello`")),
            };
        }
        if let Some(reference) = text.strip_prefix("oci://") {
            reference
                .parse::<Reference>()
                .map_err(|error| invalid(format!("`{reference}` is no reference to a registry: {error}")))?;
            return Ok(Self::Oci(reference));
        }
        if text.starts_with("https://") || (text.starts_with("http://") && is_local(&text["http://".len()..])) {
            return Ok(Self::Web(text));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let help = "use a path in the project, oci://REFERENCE, https://… with `sha256`, or builtin:hello";
            return Err(invalid(format!("a component cannot come from `{scheme}://`")).help(help));
        }
        crate::kind::relative(text).map_err(invalid)?;
        Ok(Self::File(text))
    }

    /// Fetches the component.
    pub(super) async fn fetch(&self, on: &Local) -> Result<Vec<u8>> {
        match self {
            Self::Hello => Ok(HELLO.to_vec()),
            Self::File(path) => read(on, path),
            Self::Oci(reference) => pull(reference).await,
            Self::Web(url) => download(url).await,
        }
    }

    /// Returns the SHA-256 of what lies there now, where looking costs nothing; `None` elsewhere, or if nothing is there.
    pub(super) fn digest(&self, on: &Local) -> Option<String> {
        let bytes = match self {
            Self::Hello => HELLO.to_vec(),
            Self::File(path) => read(on, path).ok()?,
            Self::Oci(_) | Self::Web(_) => return None,
        };
        Some(hex(&Sha256::digest(&bytes)))
    }
}

/// Whether an authority is on this machine, where no encryption is needed.
fn is_local(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn read(on: &Local, path: &str) -> Result<Vec<u8>> {
    let full = on.inside(path, "source")?;
    let length = std::fs::metadata(&full).map_err(|error| missing(path, error))?.len();
    if length > LARGEST {
        return Err(too_large(path));
    }
    std::fs::read(&full).map_err(|error| cannot("read", &full)(error).field("source"))
}

fn missing(path: &str, error: std::io::Error) -> Error {
    Error::invalid(format!("cannot read `{path}`"))
        .field("source")
        .help("build the component first, or use builtin:hello")
        .caused_by(error)
}

fn too_large(what: &str) -> Error {
    Error::invalid(format!("`{what}` is larger than {} MiB", LARGEST >> 20)).field("source")
}

async fn pull(text: &str) -> Result<Vec<u8>> {
    let reference: Reference = text
        .parse()
        .map_err(|error| Error::invalid(format!("`{text}` is no reference: {error}")).field("source"))?;
    let registry = reference.resolve_registry().to_owned();
    let protocol = match is_local(&registry) {
        true => ClientProtocol::HttpsExcept(vec![registry]),
        false => ClientProtocol::Https,
    };
    encryption();
    let client = Client::new(ClientConfig {
        protocol,
        ..ClientConfig::default()
    });
    let failed = |error| {
        Error::unavailable(format!("cannot pull {text}"))
            .caused_by(error)
            .field("source")
    };
    let (manifest, _) = client
        .pull_image_manifest(&reference, &RegistryAuth::Anonymous)
        .await
        .map_err(failed)?;
    let layer = manifest
        .layers
        .iter()
        .find(|layer| LAYERS.contains(&layer.media_type.as_str()));
    let Some(layer) = layer else {
        let found: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
        let message = format!("{text} holds no WebAssembly component, but {}", found.join(", "));
        return Err(Error::invalid(message).field("source"));
    };
    let size = u64::try_from(layer.size).unwrap_or(u64::MAX);
    if size > LARGEST {
        return Err(too_large(text));
    }
    let mut into = Bounded(Vec::new());
    client.pull_blob(&reference, layer, &mut into).await.map_err(failed)?;
    Ok(into.0)
}

/// Takes no more than [`LARGEST`] bytes, whatever the other side announced.
struct Bounded(Vec<u8>);

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if (self.0.len() + bytes.len()) as u64 > LARGEST {
            return Poll::Ready(Err(std::io::Error::other("it is larger than announced")));
        }
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn download(url: &str) -> Result<Vec<u8>> {
    encryption();
    let failed = |error: reqwest::Error| {
        Error::unavailable(format!("cannot download {url}"))
            .caused_by(error.without_url())
            .field("source")
    };
    let client = reqwest::Client::builder()
        .user_agent(concat!("wasmctl/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(std::time::Duration::from_secs(10))
        .read_timeout(std::time::Duration::from_secs(30))
        .build()
        .map_err(failed)?;
    let response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        let message = format!("{url} answers {status}");
        let error = match status.is_server_error() {
            true => Error::unavailable(message),
            false => Error::invalid(message),
        };
        return Err(error.field("source"));
    }
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.map_err(failed)?);
        if bytes.len() as u64 > LARGEST {
            return Err(too_large(url));
        }
    }
    Ok(bytes)
}

/// Chooses the one implementation of TLS there is; a second call finds it chosen.
fn encryption() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        assert_eq!(Source::parse("builtin:hello").unwrap(), Source::Hello);
        assert_eq!(Source::parse("apps/a.wasm").unwrap(), Source::File("apps/a.wasm"));
        assert_eq!(
            Source::parse("oci://ghcr.io/a/b:1").unwrap(),
            Source::Oci("ghcr.io/a/b:1")
        );
        assert_eq!(
            Source::parse("https://e.org/a.wasm").unwrap(),
            Source::Web("https://e.org/a.wasm")
        );
        assert!(matches!(
            Source::parse("http://127.0.0.1:80/a").unwrap(),
            Source::Web(_)
        ));
        for wrong in ["builtin:x", "oci://", "http://e.org/a", "ftp://a", "../a", "/a", ""] {
            let error = Source::parse(wrong).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("source"), "{wrong}");
        }
    }
}
