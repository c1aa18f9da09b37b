use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use portcullis_tests::{
    client::http::get,
    origin::{Origin, stock},
    proxy::Plan,
    scenario::{eventually, scenario},
};

use crate::ground::PLAIN;

/// [`PLAIN`] with more said of the backend.
fn text(lines: &str) -> String {
    PLAIN.replace("endpoints =", &format!("{lines}\nendpoints ="))
}

#[test]
fn an_http_2_connection_on_which_an_answer_is_late_gets_no_new_exchanges() {
    scenario(async {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let origin = Origin::plan("two")
            .h2c()
            .answering(|_, _| async {
                if ASKED.fetch_add(1, SeqCst) == 0 {
                    std::future::pending::<()>().await;
                }
                stock::text("fresh")
            })
            .start()
            .await;
        let text = format!("[server]\nworkers = 1\n{}", text("time = { first_byte = \"500ms\" }\nretries = 0"));
        let text = text.replace("http://@origin@", "h2c://@origin@");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let address = proxy.address("http");
        assert_eq!(get(address, "a", "/").await.status, 504);
        assert_eq!(get(address, "a", "/").await.text(), "fresh");
        assert_eq!(get(address, "a", "/").await.text(), "fresh");
        assert_eq!(origin.connections(), 2);
        eventually("the doubtful one is closed", async || (origin.open() == 1).then_some(())).await;
    });
}
