//! Object stores that redirect and refuse.

use std::time::Duration;

use lanspread_types::limits;

use super::hostile::{Hostile, Step};
use super::{PART, SIZE, content, server_at, whole};
use crate::http::error::HttpProblem;
use crate::http::object_store::ObjectStore;
use crate::http::server::HttpServer;

/// A server of this URL, whose objects are at that endpoint.
fn stored_at(url: &str, endpoint: &str) -> HttpServer {
    let store = ObjectStore::of_variables(|name| {
        let value = match name {
            "AWS_ACCESS_KEY_ID" => "id",
            "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_SESSION_TOKEN" => "token",
            "AWS_ENDPOINT_URL" => endpoint,
            _ => return None,
        };
        Some(value.to_owned())
    });
    server_at(url, Duration::from_secs(5)).with_store(store.unwrap())
}

#[tokio::test]
async fn no_signature_and_no_token_goes_to_where_a_store_redirects() {
    let there = Hostile::honest(content(0..SIZE), "").await;
    let location = format!("{}storage", there.url(""));
    let store = Hostile::scripted(move |_, _| {
        let answer = format!("HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        vec![Step::Send(answer.into_bytes())]
    })
    .await;
    let server = stored_at("s3://games/lan", &store.url(""));
    assert_eq!(whole(&server, PART).await.unwrap(), content(100..150));
    let signed = &store.requests()[0];
    assert!(
        signed.starts_with("GET /games/lan/g/a.eti?X-Amz-Algorithm=") && signed.contains("&X-Amz-Signature=")
    );
    assert!(!signed.contains("secret") && !signed.contains("authorization"), "{signed}");
    let asked = &there.requests()[0];
    assert!(asked.starts_with("GET /storage HTTP/1.1\r\n") && !asked.contains("X-Amz"), "{asked}");
}

/// The reason of a store is shown; the page that another server sends for people is neither read nor shown.
#[tokio::test]
async fn the_reason_of_a_store_is_shown_and_little_is_read_for_it() {
    let refusal = |status: &str| {
        let reason = "<Error><Code>SignatureDoesNotMatch</Code>";
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 99999999\r\n\r\n{reason}");
        vec![Step::Send(head.into_bytes()), Step::Endless(vec![b'x'; limits::HTTP_REFUSAL_BYTES_MAX])]
    };
    for (status, code) in
        [("403 Forbidden", "http-denied"), ("400 Bad Request", "http-status"), ("301 x", "http-redirect")]
    {
        let hostile = Hostile::scripted(move |_, _| refusal(status)).await;
        let refused = whole(&stored_at("s3://games", &hostile.url("")), PART).await.unwrap_err();
        assert!(matches!(refused.problem, HttpProblem::Store { .. }), "{refused}");
        assert_eq!((refused.code(), refused.may_pass()), (code, false), "{refused}");
        let shown = refused.to_string();
        assert!(shown.ends_with("(AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID)"), "{shown}");
        assert!(!shown.contains("X-Amz") && shown.contains("/games/g/a.eti?…: "), "{shown}");
        let refused = whole(&server_at(&hostile.url(""), Duration::from_secs(5)), PART).await.unwrap_err();
        assert!(!refused.to_string().contains("Signature"), "{refused}");
    }
}

#[tokio::test]
async fn without_settings_no_store_is_asked() {
    let none = ObjectStore::of_variables(|_| None).err().unwrap();
    assert_eq!(none.to_string(), "AWS_ACCESS_KEY_ID is not set");
    assert_eq!(crate::http::error::HttpError::new(&"s3://games", none).code(), "s3-settings");
}
