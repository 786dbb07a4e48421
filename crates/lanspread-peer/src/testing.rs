//! Peers for this crate's own tests.

mod belief_tests;
mod entries_tests;
mod late_tests;
mod liars_tests;
mod link;
pub(crate) mod machine;
mod manifest_tests;
pub(crate) mod organiser;
mod packed_tests;
mod repair_tests;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::{Channel, Introduction};
use lanspread_proto::message::{Hello, PROTOCOL_VERSION};
use lanspread_tls::endpoint::Endpoint;
use lanspread_tls::identity::Identity;
use lanspread_trust::identity_key::IdentityKey;
use lanspread_types::content::GameOffer;
use tokio::io::{AsyncRead, AsyncWrite};

/// That many games, as a peer offers them.
pub(crate) fn offers(count: usize) -> Vec<GameOffer> {
    let offer = |index| GameOffer {
        game: format!("g{index}").parse().unwrap(),
        version: "1".parse().unwrap(),
        bytes: 1,
        entries: false,
    };
    (0..count).map(offer).collect()
}

/// What a peer with this name says of itself.
pub(crate) fn hello(name: &str) -> Hello {
    Hello { name: name.parse().unwrap(), listen_port: None, instance: 1, catalog: None }
}

/// A peer with a new identity.
pub(crate) fn endpoint(name: &str) -> Endpoint {
    endpoint_of(hello(name))
}

/// A peer with a new identity that says this of itself.
pub(crate) fn endpoint_of(hello: Hello) -> Endpoint {
    let identity = Identity::new(&IdentityKey::random().unwrap()).unwrap();
    Endpoint { identity, introduction: Introduction::open(hello) }
}

/// The ends of every pipe between two peers of a test: of the one that dials, and of the one that answers.
pub(crate) fn pipe() -> (Channel, Channel) {
    Channel::of_pipe([1; 32], [2; 32])
}

/// A connection over the end of a pipe that dials.
pub(crate) async fn dialled<S: AsyncRead + AsyncWrite>(
    stream: S,
    ours: &Hello,
) -> Result<Connection<S>, WireError> {
    Connection::open(stream, &pipe().0, &Introduction::open(ours.clone())).await
}

/// A connection over the end of a pipe that answers.
pub(crate) async fn answered<S: AsyncRead + AsyncWrite>(
    stream: S,
    ours: &Hello,
) -> Result<Connection<S>, WireError> {
    Connection::open(stream, &pipe().1, &Introduction::open(ours.clone())).await
}

/// What the end of a pipe sends first, if it says this of itself.
pub(crate) fn greeting(end: &Channel, hello: &Hello) -> Vec<u8> {
    let hello =
        lanspread_testing::lying_source::control_frame(&lanspread_proto::codec::encode(hello).unwrap());
    [&lanspread_testing::lying_source::opening(end, PROTOCOL_VERSION)[..], &hello].concat()
}
