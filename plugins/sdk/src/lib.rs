//! Write portcullis plugins in Rust: implement [`Plugin`], call [`export!`], compile for `wasm32-unknown-unknown`.
//!
//! ```
//! use portcullis_sdk::{Edits, NoConfig, Plugin, RequestHead, Verdict, Wants};
//!
//! struct Hello;
//!
//! impl Plugin for Hello {
//!     type Config = NoConfig;
//!     type Exchange = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn wants(&self) -> Wants {
//!         Wants::new().request_head()
//!     }
//!
//!     fn request_head(&self, _: &mut (), head: &RequestHead) -> Verdict {
//!         if head.path() == "/teapot" {
//!             return portcullis_sdk::Response::new(418).text("short and stout\n").into();
//!         }
//!         Edits::new().set("x-hello", "world").into()
//!     }
//! }
//! # fn main() {
//! let plugin = portcullis_sdk::testing::Plugin::<Hello>::configure("{}").unwrap();
//! let verdict = plugin.exchange().request_head(&RequestHead::get_request("/teapot"));
//! assert!(matches!(verdict, Verdict::Respond(response) if response.status == 418));
//! # }
//! ```
//!
//! In a plugin's crate stands `portcullis_sdk::export!(Hello);` beside it, and `plugin.toml`, its manifest, beside `Cargo.toml`.
//!
//! What the proxy offers are modules here: [`connection`], [`bodies`], [`notes`], [`log`], [`metrics`], [`clock`], [`random`], [`key_value`],
//! [`http`], [`files`], [`journal`].
//! Only what is called is imported, and what is imported is what the operator must grant. Compiled natively, the same
//! modules go to a host of the test's own, see [`testing`].
//!
//! Two things to know of a guest's world. A panic is a trap: it ends the plugin's part in the exchange, and the operator's
//! `on_failure` says what then happens. And `std::collections::HashMap` has no random seed there: do not let clients choose
//! many keys of one.

#[allow(unsafe_code, missing_docs, clippy::all, rust_2018_idioms)]
#[doc(hidden)]
pub mod bindings {
    //! What wit-bindgen makes of the contract.
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "portcullis_sdk::bindings",
        additional_derives: [PartialEq, Eq],
    });
}

mod edits;
mod export;
mod head;
mod host;
mod plugin;
mod response;
pub mod settings;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod valid;
mod wants;

#[doc(hidden)]
pub use self::export::{Exported, Stored};
pub use self::{
    bindings::portcullis::filter::types::{
        BodyEnd, Edits, Field, FieldEdit, HttpVersion, RequestHead, Response, ResponseHead, Summary, Verdict,
    },
    host::{bodies, clock, connection, files, http, journal, key_value, log, metrics, notes, random},
    plugin::{NoConfig, Plugin},
    valid::check_name,
    wants::{Body, Holding, Wants},
};
