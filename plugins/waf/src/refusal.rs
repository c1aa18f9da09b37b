//! What a client gets in place of what it asked for.

use portcullis_sdk::{Response, Verdict};
use waf_engine::transaction::Intervention;

/// The page of refusals.
pub struct Page {
    text: String,
    status: Option<u16>,
}

/// What is known of whoever reads it.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The request's id.
    pub id: &'a str,
    /// Whether it is a program that asks for JSON.
    pub wants_json: bool,
}

const DEFAULT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Request refused</title>
<h1>Request refused</h1>
<p>This request looks like an attack and was not passed on. If it was not one, tell the site's operator this number:</p>
<p><code>{id}</code></p>
</html>
";

impl Page {
    /// `text` in place of the page that is there; `status` in place of the rules' own.
    pub fn new(text: Option<String>, status: Option<u16>) -> Self {
        Self { text: text.unwrap_or_else(|| DEFAULT.to_owned()), status }
    }

    /// What an intervention becomes.
    pub fn verdict(&self, intervention: &Intervention, reader: Reader<'_>) -> Verdict {
        if intervention.drop {
            return Verdict::Close;
        }
        if let Some(location) = &intervention.redirect
            && location.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..))
        {
            let status = if (300..=399).contains(&intervention.status) { intervention.status } else { 302 };
            return Response::new(status).field("location", location.clone()).field("cache-control", "no-store").into();
        }
        // A redirect to what can be no address is a refusal all the same.
        let status = self.status.unwrap_or(intervention.status);
        let status = if (400..=599).contains(&status) { status } else { 403 };
        let response = Response::new(status).field("cache-control", "no-store");
        if reader.wants_json {
            let body = serde_json::json!({ "title": "Request refused", "status": status, "id": reader.id });
            return response.field("content-type", "application/problem+json").body(body.to_string()).into();
        }
        let is_html = self.text.trim_start().starts_with('<');
        let id = if is_html { escaped(reader.id) } else { reader.id.to_owned() };
        let text = self.text.replace("{status}", &status.to_string()).replace("{id}", &id);
        if is_html { response.html(text) } else { response.text(text) }.into()
    }
}

/// The id may be the client's own: visible ASCII, `<` among it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: Reader<'_> = Reader { id: "a<b", wants_json: false };

    fn intervention(status: u16) -> Intervention {
        Intervention { rule: 1, status, redirect: None, drop: false, message: String::new() }
    }

    fn response(page: &Page, intervention: &Intervention, reader: Reader<'_>) -> Response {
        match page.verdict(intervention, reader) {
            Verdict::Respond(response) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_carries_the_id_and_nothing_that_a_client_wrote_as_it_is() {
        let page = Page::new(None, None);
        let refused = response(&page, &intervention(403), READER);
        let body = String::from_utf8(refused.body.clone()).unwrap();
        assert!(body.contains("<code>a&lt;b</code>") && !body.contains("{id}"), "{body}");
        assert_eq!((refused.status, refused.get("content-type")), (403, Some("text/html; charset=utf-8")));
        let text = Page::new(Some("{status}: {id}".into()), Some(418));
        assert_eq!(response(&text, &intervention(403), READER).body, b"418: a<b");
        let json = response(&page, &intervention(406), Reader { wants_json: true, ..READER });
        assert_eq!(json.body, br#"{"id":"a<b","status":406,"title":"Request refused"}"#);
    }

    #[test]
    fn rules_redirect_drop_and_answer_with_what_http_can_say() {
        let page = Page::new(None, None);
        let to = |location: &[u8], status| Intervention { redirect: Some(location.into()), ..intervention(status) };
        let found = response(&page, &to(b"https://example.com/?a=1", 307), READER);
        assert_eq!((found.status, found.get("location")), (307, Some("https://example.com/?a=1")));
        assert_eq!(response(&page, &to(b"/x", 403), READER).status, 302);
        assert_eq!(response(&page, &to(b"/x\r\nset-cookie: a=b", 302), READER).status, 403);
        assert_eq!(response(&page, &intervention(200), READER).status, 403);
        let drop = Intervention { drop: true, ..intervention(403) };
        assert_eq!(page.verdict(&drop, READER), Verdict::Close);
    }
}
