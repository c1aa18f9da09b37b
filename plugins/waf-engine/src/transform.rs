//! Transformations: what a value looks like after `t:urlDecodeUni`.
//!
//! The manual of ModSecurity 3 says what each one does. Where it is silent, libmodsecurity 3 decides; where libmodsecurity loses
//! or invents bytes by mistake and Coraza or ModSecurity 2 do not, the function says which was followed and why.

mod codec;
mod command;
mod comment;
mod escape;
mod html;
mod path;
mod simple;
mod space;
mod unicode;
mod url;

pub use unicode::UnicodeMap;

use crate::bytes::ByteSet;

macro_rules! transformations {
    ($($name:literal $(| $alias:literal)* => $variant:ident,)*) => {
        /// One step.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Transformation { $($variant,)* }

        impl Transformation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// By the manual's name, in any case. `none` is not one: it is a word of the rule language.
            pub fn from_name(name: &str) -> Option<Self> {
                const NAMES: &[(&str, Transformation)] =
                    &[$(($name, Transformation::$variant), $(($alias, Transformation::$variant),)*)*];
                NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, found)| *found)
            }

            /// As the manual writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

transformations! {
    "base64Decode" => Base64Decode,
    "base64DecodeExt" => Base64DecodeExt,
    "base64Encode" => Base64Encode,
    "cmdLine" => CmdLine,
    "compressWhitespace" => CompressWhitespace,
    "cssDecode" => CssDecode,
    "escapeSeqDecode" => EscapeSeqDecode,
    "hexDecode" => HexDecode,
    "hexEncode" => HexEncode,
    "htmlEntityDecode" => HtmlEntityDecode,
    "jsDecode" => JsDecode,
    "length" => Length,
    "lowercase" => Lowercase,
    "md5" => Md5,
    "normalizePath" | "normalisePath" => NormalizePath,
    "normalizePathWin" | "normalisePathWin" => NormalizePathWin,
    "parityEven7bit" => ParityEven7bit,
    "parityOdd7bit" => ParityOdd7bit,
    "parityZero7bit" => ParityZero7bit,
    "removeComments" => RemoveComments,
    "removeCommentsChar" => RemoveCommentsChar,
    "removeNulls" => RemoveNulls,
    "removeWhitespace" => RemoveWhitespace,
    "replaceComments" => ReplaceComments,
    "replaceNulls" => ReplaceNulls,
    "sha1" => Sha1,
    "sqlHexDecode" => SqlHexDecode,
    "trim" => Trim,
    "trimLeft" => TrimLeft,
    "trimRight" => TrimRight,
    "uppercase" => Uppercase,
    "urlDecode" => UrlDecode,
    "urlDecodeUni" => UrlDecodeUni,
    "urlEncode" => UrlEncode,
    "utf8toUnicode" => Utf8ToUnicode,
}

impl Transformation {
    /// Writes what `input` becomes to `out` and says whether that differs. When it does not, what is in `out` means nothing.
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>, map: Option<&UnicodeMap>) -> bool {
        out.clear();
        // Some steps write what was there already (`length` of "1"); comparing is cheaper than knowing in each of them.
        self.write(input, out, map) && out.as_slice() != input
    }

    /// Writes to the empty `out`, or says no early, when it is certain that nothing changes.
    fn write(self, input: &[u8], out: &mut Vec<u8>, map: Option<&UnicodeMap>) -> bool {
        match self {
            Self::Base64Decode => codec::base64_decode(input, out),
            Self::Base64DecodeExt => codec::base64_decode_ext(input, out),
            Self::Base64Encode => codec::base64_encode(input, out),
            Self::CmdLine => command::cmd_line(input, out),
            Self::CompressWhitespace => space::compress(input, out),
            Self::CssDecode => escape::css(input, out),
            Self::EscapeSeqDecode => escape::ansi_c(input, out),
            Self::HexDecode => codec::hex_decode(input, out),
            Self::HexEncode => codec::hex_encode(input, out),
            Self::HtmlEntityDecode => html::entity_decode(input, out),
            Self::JsDecode => escape::js(input, out),
            Self::Length => simple::length(input, out),
            Self::Lowercase => simple::lowercase(input, out),
            Self::Md5 => codec::digest::<md5::Md5>(input, out),
            Self::NormalizePath => path::normalize(input, out, false),
            Self::NormalizePathWin => path::normalize(input, out, true),
            Self::ParityEven7bit => simple::parity_even(input, out),
            Self::ParityOdd7bit => simple::parity_odd(input, out),
            Self::ParityZero7bit => simple::parity_zero(input, out),
            Self::RemoveComments => comment::remove(input, out),
            Self::RemoveCommentsChar => comment::remove_signs(input, out),
            Self::RemoveNulls => simple::remove_nulls(input, out),
            Self::RemoveWhitespace => space::remove(input, out),
            Self::ReplaceComments => comment::replace(input, out),
            Self::ReplaceNulls => simple::replace_nulls(input, out),
            Self::Sha1 => codec::digest::<sha1::Sha1>(input, out),
            Self::SqlHexDecode => codec::sql_hex_decode(input, out),
            Self::Trim => space::trim(input, out, true, true),
            Self::TrimLeft => space::trim(input, out, true, false),
            Self::TrimRight => space::trim(input, out, false, true),
            Self::Uppercase => simple::uppercase(input, out),
            Self::UrlDecode => url::decode(input, out),
            Self::UrlDecodeUni => url::decode_unicode(input, out, map),
            Self::UrlEncode => url::encode(input, out),
            Self::Utf8ToUnicode => unicode::from_utf8(input, out),
        }
    }

    /// Whether a value made of just these bytes might change. Never false where [`apply`](Self::apply) would change it.
    pub fn could_change(self, present: &ByteSet) -> bool {
        const fn list(bytes: &[u8]) -> ByteSet {
            ByteSet::list(bytes)
        }
        let has = |byte: u8| present.contains(byte);
        match self {
            // Also of an empty value.
            Self::Length | Self::Md5 | Self::Sha1 => true,
            // Of every other value.
            Self::Base64Decode | Self::Base64DecodeExt | Self::Base64Encode | Self::HexDecode | Self::HexEncode => {
                !present.is_empty()
            }
            Self::CmdLine => present.meets(&const { list(b"\"'\\^ ,;\t\r\n").union(&ByteSet::range(b'A', b'Z')) }),
            Self::CompressWhitespace | Self::Trim | Self::TrimLeft | Self::TrimRight => present.meets(&ByteSet::SPACE),
            Self::CssDecode | Self::EscapeSeqDecode | Self::JsDecode => has(b'\\'),
            Self::HtmlEntityDecode => has(b'&'),
            Self::Lowercase => present.meets(&const { ByteSet::range(b'A', b'Z') }),
            Self::Uppercase => present.meets(&const { ByteSet::range(b'a', b'z') }),
            Self::NormalizePath => present.meets(&const { list(b"/.") }),
            Self::NormalizePathWin => present.meets(&const { list(b"/\\.") }),
            Self::ParityEven7bit => present.meets(&simple::ODD_OR_EIGHT_BITS),
            Self::ParityOdd7bit => present.meets(&simple::EVEN_OR_EIGHT_BITS),
            Self::ParityZero7bit => present.meets(&const { ByteSet::range(0x80, 0xff) }),
            Self::RemoveComments => present.meets(&const { list(b"-#") }) || has(b'/') && has(b'*'),
            Self::RemoveCommentsChar => present.meets(&const { list(b"-#") }) || has(b'/') && has(b'*'),
            Self::ReplaceComments => has(b'/') && has(b'*'),
            Self::RemoveNulls | Self::ReplaceNulls => has(0),
            Self::RemoveWhitespace => present.meets(&space::REMOVED),
            Self::SqlHexDecode => has(b'0') && present.meets(&const { list(b"xX") }),
            Self::UrlDecode | Self::UrlDecodeUni => present.meets(&const { list(b"%+") }),
            Self::UrlEncode => present.meets(&const { url::UNRESERVED.complement() }),
            Self::Utf8ToUnicode => present.meets(&const { ByteSet::range(0x80, 0xff).union(&list(&[0])) }),
        }
    }
}

/// The value of a hexadecimal digit.
const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The value of two hexadecimal digits with which `bytes` begins.
fn hex_pair(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [high, low, ..] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    }
}

/// Whether C's `isspace` says yes, in the C locale.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests;
