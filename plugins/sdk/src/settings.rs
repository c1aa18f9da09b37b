//! Values that the tables of many plugins have: durations with a unit, names of fields, and networks.
//!
//! They are serde types: put them into a plugin's `Config`, and a mistake in the table becomes an error of `configure` that names the key.

mod duration;
mod field_name;
mod networks;

pub use duration::{DurationError, Millis};
pub use field_name::{FieldName, FieldNameError, is_token};
pub use networks::{Network, NetworkError, Networks};
