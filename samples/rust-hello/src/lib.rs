//! A small HTTP component in Rust with the standard library.
//!
//! - `GET /file/NAME` answers with the file `/data/NAME`, `PUT`-like `/write/NAME/TEXT` writes one;
//! - anything else is greeted.

wit_bindgen::generate!({ path: "wit", world: "app", generate_all });

use exports::wasi::http::incoming_handler::Guest;
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct App;

impl Guest for App {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (status, text) = answer(&path);
        let headers = Fields::from_list(&[("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec())]).expect("a valid header");
        let response = OutgoingResponse::new(headers);
        response.set_status_code(status).expect("a valid status");
        let body = response.body().expect("the first time");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the first time");
        for piece in text.as_bytes().chunks(4096) {
            if stream.blocking_write_and_flush(piece).is_err() {
                return;
            }
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn answer(path: &str) -> (u16, String) {
    if let Some(name) = path.strip_prefix("/file/") {
        return match std::fs::read_to_string(format!("/data/{name}")) {
            Ok(text) => (200, text),
            Err(error) => (404, format!("{name}: {error}\n")),
        };
    }
    if let Some((name, text)) = path.strip_prefix("/write/").and_then(|rest| rest.split_once('/')) {
        return match std::fs::write(format!("/data/{name}"), text) {
            Ok(()) => (200, format!("wrote {} bytes to {name}\n", text.len())),
            Err(error) => (403, format!("{name}: {error}\n")),
        };
    }
    let primitive = std::env::var("WASMCTL_PRIMITIVE").unwrap_or_else(|_| "none".to_owned());
    (200, format!("Hello from Rust!\nprimitive: {primitive}\npath: {path}\n"))
}

export!(App);
