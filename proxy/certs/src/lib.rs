//! Ordering, keeping, renewing and sharing certificates.
