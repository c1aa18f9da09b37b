//! Bodies that turn out not to matter. Needs no grant.
//!
//! [`wants`](crate::Plugin::wants) says what is wanted of every exchange; the head of one may show that there is nothing to look at. These
//! take the wish back for this exchange: nothing is held or copied, and the phase of that body does not come.

use super::imports::bodies;

/// The request's body is not to be shown. In `request_head`; elsewhere it traps.
pub fn skip_request() {
    bodies::skip_request();
}

/// The response's body is not to be shown. In `request_head`, `request_body` and `response_head`; elsewhere, and after the first piece of
/// that body, it traps.
pub fn skip_response() {
    bodies::skip_response();
}
