//! Control payloads as bincode 2. No other module uses bincode.
//!
//! bincode is no longer maintained. These rules keep its use safe: it decodes only from a complete slice, with a byte
//! limit, and refuses trailing bytes; messages have no recursive types and no vectors of zero-size elements. The types
//! check counts again.

use lanspread_types::limits::CONTROL_FRAME_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::WireError;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<CONTROL_FRAME_BYTES_MAX>()
}

/// Encodes a control message.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    bincode::serde::encode_to_vec(message, config()).map_err(|error| WireError::Malformed(error.to_string()))
}

/// Encodes a control message behind what `buffer` holds already.
pub(super) fn encode_into(message: &impl Serialize, buffer: &mut Vec<u8>) -> Result<(), WireError> {
    bincode::serde::encode_into_std_write(message, buffer, config())
        .map(drop)
        .map_err(|error| WireError::Malformed(error.to_string()))
}

/// Decodes a control message; every byte must belong to it.
pub fn decode<M: DeserializeOwned>(payload: &[u8]) -> Result<M, WireError> {
    let (message, used) = bincode::serde::decode_from_slice(payload, config())
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if used != payload.len() {
        return Err(WireError::Malformed(format!("{} trailing bytes", payload.len() - used)));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Reply, Request, StreamMessage};

    #[test]
    fn trailing_bytes_are_refused() {
        let mut payload = encode(&StreamMessage::KeepAlive).unwrap();
        assert!(decode::<StreamMessage>(&payload).is_ok());
        payload.push(0);
        assert!(decode::<StreamMessage>(&payload).is_err());
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        // Reply::Games of revision 1 with 2^62 elements: the limit refuses it, not the allocator.
        let payload = [&[0, 1, 253][..], &(1u64 << 62).to_le_bytes()].concat();
        assert!(decode::<Reply>(&payload).is_err());
    }

    proptest! {
        /// Random bytes decode to an error or a message, never to a panic or a large allocation.
        #[test]
        fn random_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Request>(&payload);
            let _ = decode::<Reply>(&payload);
            let _ = decode::<StreamMessage>(&payload);
        }
    }
}
