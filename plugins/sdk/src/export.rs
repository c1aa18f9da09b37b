//! From the trait to the exports of a Wasm module.

use std::{cell::RefCell, marker::PhantomData, sync::OnceLock};

use crate::{
    BodyEnd, Plugin, RequestHead, ResponseHead, Summary, Verdict,
    bindings::exports::portcullis::filter::filter::{Declaration, Guest, GuestExchange},
};

/// Makes a type that implements [`Plugin`] the one that this crate's module exports, and puts the crate's `plugin.toml`, which lies
/// beside its `Cargo.toml`, into the module. Once in a crate of type `cdylib`. Natively it only checks.
///
/// ```ignore
/// portcullis_sdk::export!(MyPlugin);
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            impl $crate::Stored for $plugin {
                fn stored() -> &'static ::std::sync::OnceLock<Self> {
                    static PLUGIN: ::std::sync::OnceLock<$plugin> = ::std::sync::OnceLock::new();
                    &PLUGIN
                }
            }

            const MANIFEST: &[u8] =
                ::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/plugin.toml"));

            #[cfg(target_family = "wasm")]
            #[allow(unsafe_code)]
            #[used]
            #[unsafe(link_section = "portcullis-manifest")]
            static SECTION: [u8; MANIFEST.len()] =
                *::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/plugin.toml"));

            #[cfg(target_family = "wasm")]
            type Exported = $crate::Exported<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
            let _ = MANIFEST;
        };
    };
}

/// Where a plugin's one configured value lives. Implemented by [`export!`](crate::export).
#[doc(hidden)]
pub trait Stored: Plugin {
    fn stored() -> &'static OnceLock<Self>;
}

/// The exports of a plugin.
#[doc(hidden)]
pub struct Exported<P>(PhantomData<P>);

impl<P: Stored> Guest for Exported<P> {
    type Exchange = Exchange<P>;

    fn configure(config: String) -> Result<Declaration, String> {
        let plugin = crate::plugin::configure::<P>(&config)?;
        let declaration = plugin.wants().declaration();
        P::stored().set(plugin).map_err(|_| "configure was called twice on one instance".to_owned())?;
        Ok(declaration)
    }
}

/// One exchange of a plugin.
#[doc(hidden)]
pub struct Exchange<P: Stored> {
    plugin: &'static P,
    // The host calls one phase at a time and none from within another, so this is never borrowed twice.
    state: RefCell<P::Exchange>,
}

impl<P: Stored> GuestExchange for Exchange<P> {
    fn new() -> Self {
        let plugin = P::stored().get().expect("the host configures before it makes exchanges");
        Self { plugin, state: RefCell::default() }
    }

    fn request_head(&self, head: RequestHead) -> Verdict {
        self.plugin.request_head(&mut self.state.borrow_mut(), &head)
    }

    fn request_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        self.plugin.request_body(&mut self.state.borrow_mut(), &data, end.as_ref())
    }

    fn response_head(&self, head: ResponseHead) -> Verdict {
        self.plugin.response_head(&mut self.state.borrow_mut(), &head)
    }

    fn response_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        self.plugin.response_body(&mut self.state.borrow_mut(), &data, end.as_ref())
    }

    fn log(&self, summary: Summary) {
        self.plugin.log(&mut self.state.borrow_mut(), &summary);
    }
}
