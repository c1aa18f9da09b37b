//! What a review found, and stays found: how connections and exchanges end when one side does not do its part.
//!
//! - heads and bodies that begin and do not go on: [`beginnings`]

mod beginnings;
