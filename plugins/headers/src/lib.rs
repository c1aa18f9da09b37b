//! Header fields.
use portcullis_sdk::{Edits, NoConfig, Plugin, ResponseHead, Verdict, Wants};

struct Headers;

impl Plugin for Headers {
    type Config = NoConfig;
    type Exchange = ();

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn wants(&self) -> Wants {
        Wants::new().response_head()
    }

    fn response_head(&self, _: &mut (), _: &ResponseHead) -> Verdict {
        Edits::new().set("x-content-type-options", "nosniff").into()
    }
}

portcullis_sdk::export!(Headers);
