//! What guests may call, once granted.

pub mod metrics;
