//! Request and response bodies, read by their type into what rules look at. Pure: bytes in, values out.
