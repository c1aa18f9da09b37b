//! A request's head, taken apart into what rules look at. Pure: bytes in, ranges out.

pub mod cookies;
pub mod target;
#[cfg(test)]
mod tests;
