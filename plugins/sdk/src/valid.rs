//! Which fields the proxy takes from a plugin. An edit with another one is a failure of the plugin, so that what comes from a
//! configuration is better checked in `configure`.

use crate::Field;

/// Fields that the proxy keeps right by itself.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Whether a plugin may set or remove fields of that name.
///
/// # Errors
/// A sentence that says why not.
pub fn check_name(name: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is no name of a field: use letters, digits and -"));
    }
    if FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
        return Err(format!(
            "the field {name} frames the message or belongs to the connection: the proxy keeps it right by itself"
        ));
    }
    Ok(())
}

impl Field {
    /// Whether the proxy takes this field from a plugin.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        match self.value.iter().find(|byte| **byte != b'\t' && (**byte < b' ' || **byte == 0x7f)) {
            None => Ok(()),
            Some(byte) => {
                Err(format!("the value of the field {} has the byte {byte:#04x}, which HTTP does not allow", self.name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_the_proxy_refuses() {
        for name in ["", "a b", "a:", "ä", "Content-Length", "te"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for value in ["a\r\nb", "a\0", "\x7f"] {
            assert!(Field::new("a", value).check().is_err(), "{value:?}");
        }
        assert_eq!(Field::new("X-A", "b\t\u{e4}").check(), Ok(()));
    }
}
