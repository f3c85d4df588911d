//! Connections that leave HTTP behind, such as WebSockets: bytes in both directions.

use std::sync::Arc;

use http::HeaderMap;
use http::header;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::proxy::Exchange;

/// Whether a request asks to change the protocol.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
        && headers.get_all(header::CONNECTION).iter().any(|value| {
            value
                .to_str()
                .is_ok_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade")))
        })
}

/// Joins both sides until one of them closes, or until the target's time to finish is over.
pub(super) fn relay(client: OnUpgrade, target: OnUpgrade, exchange: Exchange) {
    tokio::spawn(async move {
        let leaving = Arc::clone(exchange.target());
        let cut = leaving.cut.notified();
        let joined = async {
            let (Ok(client), Ok(target)) = tokio::join!(client, target) else {
                return;
            };
            let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
            // A side that breaks off ends the exchange; there is nobody left to tell.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut target).await;
        };
        tokio::select! {
            () = joined => {}
            () = cut => {}
        }
        drop(exchange);
    });
}
