use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use portcullis_tests::{
    certificates::leaf,
    scenario::{eventually_within, scenario},
};
use rustix::process::Signal;

use super::{ONE, WITHIN, certified, ground, listed, shown};

#[test]
fn a_restart_shows_what_was_kept_and_orders_nothing() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |_| ()).await;
        let mut proxy = plan.start().await;
        let first = shown(&proxy, &pebble, "a.example.com").await;
        let state = proxy.folder().join("state");
        assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        let orders = pebble.orders();
        assert_eq!(orders, 1);
        proxy.restart_after(Signal::KILL).await;
        // It is there before the first connection is accepted.
        assert_eq!(listed(&proxy, "a.example.com").await.unwrap()["state"], "valid");
        assert_eq!(shown(&proxy, &pebble, "a.example.com").await, first);
        assert_eq!(pebble.orders(), orders);
    });
}

#[test]
fn a_reload_orders_for_new_hosts_and_leaves_the_others_alone() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |_| ()).await;
        let proxy = plan.start().await;
        let first = shown(&proxy, &pebble, "a.example.com").await;
        proxy.apply(&ONE.replace("\"a.example.com\"", "[\"a.example.com\", \"b.example.com\"]")).await;
        shown(&proxy, &pebble, "b.example.com").await;
        assert_eq!(shown(&proxy, &pebble, "a.example.com").await, first);
        assert_eq!(pebble.orders(), 2);
        // A host that has a file is no longer ordered for; when the file is gone, what was kept is shown again.
        proxy.write_leaf("b", &leaf(&["b.example.com"]));
        let file = "[[certificate]]\ncert = \"b.pem\"\nkey = \"b.key\"\n";
        let both = ONE.replace("\"a.example.com\"", "[\"a.example.com\", \"b.example.com\"]");
        proxy.apply(&format!("{both}{file}")).await;
        assert!(listed(&proxy, "b.example.com").await.is_none());
        proxy.apply(&both).await;
        shown(&proxy, &pebble, "b.example.com").await;
        assert_eq!(pebble.orders(), 2);
    });
}

#[test]
fn ordering_begins_when_a_reload_asks_for_it_and_ends_with_the_table() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |_| ()).await;
        let plain = ONE[..ONE.find("[acme]").unwrap()].to_owned()
            + &ONE[ONE.find("[[route]]").unwrap()..]
            + "[[certificate]]\ncert = \"other.pem\"\nkey = \"other.key\"\n";
        let proxy = plan.leaf("other", &leaf(&["other.example.com"])).with_text(&plain).start().await;
        assert!(proxy.status().await["acme"].is_null());
        proxy.apply(ONE).await;
        shown(&proxy, &pebble, "a.example.com").await;
        proxy.apply(&plain).await;
        assert!(proxy.status().await["acme"].is_null());
    });
}

#[test]
fn a_certificate_is_renewed_before_its_end_and_nobody_notices() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |choice| choice.validity = Some(20)).await;
        let proxy = plan.start().await;
        let first = shown(&proxy, &pebble, "a.example.com").await;
        eventually_within(WITHIN, "another one is shown", async || {
            let now = shown(&proxy, &pebble, "a.example.com").await;
            (now != first).then_some(())
        })
        .await;
    });
}

/// Kills at one moment after another of the first order. Whatever it was, the next process goes on: at most the one order whose address was
/// not yet known is made twice.
#[test]
fn a_kill_in_the_middle_of_an_order_loses_nothing() {
    portcullis_tests::scenario::scenario_within(Duration::from_secs(300), async {
        for pause in [50, 150, 300, 500, 800] {
            let (plan, pebble) = ground(ONE, |_| ()).await;
            let mut proxy = plan.start().await;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            proxy.restart_after(Signal::KILL).await;
            shown(&proxy, &pebble, "a.example.com").await;
            certified(&proxy, "a.example.com", "valid").await;
            assert!(pebble.orders() <= 2, "{} orders after a kill at {pause} ms", pebble.orders());
            assert_eq!(listed(&proxy, "a.example.com").await.unwrap()["failures"], 0);
        }
    });
}
