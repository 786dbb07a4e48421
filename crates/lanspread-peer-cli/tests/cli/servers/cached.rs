//! Caches between many machines and one server: nginx, as a proxy that the environment names.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use super::{Fair, Nginx, command};
use crate::catalog_builds::{build, manifest};
use crate::catalogs::Organiser;
use crate::support::{Receiver, Tree, finish, tool, unrar_tree};

/// More than three slices of the cache, and so much that chunks are asked for ahead.
const NOISE_BYTES: u64 = 3 * 1024 * 1024 + 4711;

/// An organiser with a game whose archive has some MiB, and its manifest beside it.
fn larger_fair() -> Fair {
    let organiser = Organiser::new();
    let games = organiser.path("games");
    let root = games.join("cnctw");
    fs::create_dir_all(&root).unwrap();
    let noise = organiser.path("noise.bin");
    let mut random = fs::File::open("/dev/urandom").unwrap().take(NOISE_BYTES);
    std::io::copy(&mut random, &mut fs::File::create(&noise).unwrap()).unwrap();
    let mut rar = Command::new(tool("rar"));
    rar.args(["a", "-cfg-", "-idq", "-y", "-m0", "-ep"]).arg(root.join("cnctw.rar")).arg(noise);
    assert!(rar.stdin(Stdio::null()).status().unwrap().success());
    fs::rename(root.join("cnctw.rar"), root.join("cnctw.eti")).unwrap();
    fs::write(root.join("version.ini"), "20250101\n").unwrap();
    build(&organiser, &[]).succeeded();
    fs::copy(manifest(&organiser), root.join("manifest.lsm")).unwrap();
    Fair { organiser, games }
}

/// A cache between many machines and one server, as a proxy that the environment names.
#[test]
fn a_caching_proxy_is_used_and_asks_the_server_once() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let nginx = fair.serve();
    let cache = Nginx::start(
        "location / {\nproxy_pass http://$http_host$request_uri;\nproxy_cache games;\nproxy_cache_valid 200 206 1h;\n\
         proxy_cache_lock on;\nproxy_force_ranges on;\n}",
        |_| (),
    );
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let mut asked = 0;
    for round in 0..2 {
        let receiver = Receiver::new();
        let mut through = command(&receiver, &["download"], &url);
        through.env("HTTP_PROXY", format!("http://127.0.0.1:{}", cache.port));
        finish(&mut through).succeeded();
        fair.assert_arrived(&receiver);
        let requests = nginx.requests().lines().count();
        assert!(
            round == 0 || requests == asked,
            "the second receiver costs the server nothing: {}",
            nginx.requests()
        );
        asked = requests;
    }
    assert!(cache.requests().lines().count() > asked, "{}", cache.requests());
}

/// The cache of the operator's guide: it asks the server for slices, and answers every range from them.
#[test]
fn a_cache_of_slices_answers_a_second_machine_alone() {
    let fair = larger_fair();
    let nginx = fair.serve();
    let cache = Nginx::start(
        "location / {\nslice 1m;\nproxy_cache games;\n\
         proxy_cache_key $http_host$uri$is_args$args$slice_range;\nproxy_set_header Range $slice_range;\n\
         proxy_cache_valid 200 206 1h;\nproxy_cache_lock on;\nproxy_pass http://$http_host$request_uri;\n}",
        |_| (),
    );
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let proxy = format!("http://127.0.0.1:{}", cache.port);

    let first = Receiver::new();
    finish(command(&first, &["download"], &url).env("HTTP_PROXY", &proxy)).succeeded();
    fair.assert_arrived(&first);
    let asked = nginx.requests();
    let slices: Vec<&str> =
        asked.lines().filter(|line| line.starts_with("/cnctw/cnctw.eti 206 bytes=")).collect();
    assert_eq!(slices.len(), 4, "each slice once: {asked}");
    assert!(
        slices.iter().all(|line| line.contains("-1048575")
            || line.contains("bytes=1048576-")
            || line.contains("bytes=2097152-")
            || line.contains("bytes=3145728-")),
        "{asked}"
    );

    // It streams, and so asks for chunks ahead, over several connections.
    let second = Receiver::new();
    let mut streamed = command(&second, &["install", "--stream"], &url);
    let done = finish(streamed.arg("--catalog").arg(fair.catalog()).env("HTTP_PROXY", &proxy));
    assert_eq!(done.succeeded().one("stream-install-finished")["trust"], "verified");
    assert_eq!(Tree::read(&second.local("cnctw")), unrar_tree(&fair.games.join("cnctw")));
    assert_eq!(nginx.requests(), asked, "the second machine costs the server nothing");
}
