//! What a review found, and stays found: how connections and exchanges end when one side does not do its part.
//!
//! - heads and bodies that begin and do not go on: [`beginnings`]
//! - clients that cannot see a broken end, or do not read: [`endings`]
//! - trailers that say more than they may: [`trailers`]
//! - requests that are unusual or slow: [`requests`]
//! - backends that fall silent, break off, or answer before they have read: [`origins`]

mod beginnings;
mod endings;
mod origins;
mod requests;
mod trailers;
