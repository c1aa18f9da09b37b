use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use portcullis_tests::{
    client::raw::Raw,
    origin::Origin,
    proxy::Proxy,
    repository,
    scenario::{alone, scenario_within},
};

use super::{audit_log, crs4_folder, debian_crs, guarded};

const TIME: Duration = Duration::from_secs(240);

/// Debian's own order of its CRS, without the includes of files that nobody has written.
const DEBIAN: [&str; 2] = ["/etc/modsecurity/crs/crs-setup.conf", "/usr/share/modsecurity-crs/rules/*.conf"];

/// The requests of a folder, each by its path in `tests/conformance`.
fn requests(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = repository::root().join("tests/conformance");
    let mut folders = vec![root.join(folder)];
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.extend(path.extension().is_some_and(|end| end == "http").then_some(path)),
            }
        }
    }
    found.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    found.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// What each request is answered with.
async fn answers(proxy: &Proxy, requests: &[(String, Vec<u8>)]) -> Vec<u16> {
    let mut answers = Vec::with_capacity(requests.len());
    for (_, request) in requests {
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send(request).await;
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        answers.push(client.response_to(&String::from_utf8_lossy(method)).await.status);
    }
    answers
}

/// An origin that reads everything and says that it is well.
async fn origin() -> Origin {
    let plan = Origin::plan("app").answering(|request, _| async {
        drop(request.into_body().collect().await);
        http::Response::new(Full::new(Bytes::from_static(b"well\n")).map_err(|never| match never {}).boxed_unsync())
    });
    plan.start().await
}

/// Stock rules, as they are installed: ordinary traffic passes, and most attacks do not.
async fn judge(rules: &[String], blocked_at_least: usize) {
    let origin = origin().await;
    let proxy = guarded(rules, "audit_log = \"audit.jsonl\"", origin.address()).start().await;
    let benign = requests("benign");
    assert!(benign.len() > 200, "{}", benign.len());
    let refused: Vec<_> = answers(&proxy, &benign)
        .await
        .into_iter()
        .zip(&benign)
        .filter(|(status, _)| *status != 200)
        .map(|(status, (name, _))| format!("{status} {name}"))
        .collect();
    assert!(refused.is_empty(), "refused: {refused:#?}\n{:#?}", audit_log(&proxy));
    assert_eq!(origin.count(), benign.len());

    let attacks = requests("attacks");
    let statuses = answers(&proxy, &attacks).await;
    let passed: Vec<_> =
        statuses.iter().zip(&attacks).filter(|(status, _)| **status == 200).map(|(_, (name, _))| name).collect();
    let blocked = statuses.iter().filter(|status| **status == 403).count();
    println!("{blocked} of {} attacks were refused; passed: {passed:#?}", attacks.len());
    assert!(blocked >= blocked_at_least, "{blocked} of {} were refused; passed: {passed:#?}", attacks.len());
    assert_eq!(origin.count(), benign.len() + passed.len(), "what is refused reaches nobody");
}

#[test]
fn stock_crs_4_lets_ordinary_traffic_pass_and_refuses_attacks() {
    let Some(crs) = crs4_folder() else { return };
    scenario_within(TIME, async {
        let _alone = alone().await;
        let at = |name: &str| crs.join(name).display().to_string();
        judge(&[at("crs-setup.conf.example"), at("rules/*.conf")], 150).await;
    });
}

#[test]
fn debians_crs_lets_ordinary_traffic_pass_and_refuses_attacks() {
    if debian_crs().is_none() {
        return;
    }
    scenario_within(TIME, async {
        let _alone = alone().await;
        judge(&DEBIAN.map(str::to_owned), 130).await;
    });
}

#[test]
fn debians_own_list_of_files_loads_once_both_folders_are_granted() {
    let Some(list) = debian_crs() else { return };
    scenario_within(TIME, async {
        let _alone = alone().await;
        let origin = origin().await;
        let grant = "[plugin.waf.grants]\nfiles = [\"/etc/modsecurity/crs/\", \"/usr/share/modsecurity-crs/\"]\n";
        let proxy = guarded(&[list], grant, origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let attack =
            "GET /?id=1%27+or+%271%27=%271 HTTP/1.1\r\nhost: a.example\r\nuser-agent: x\r\naccept: */*\r\n\r\n";
        assert_eq!(client.exchange(attack).await.status, 403);
    });
}
