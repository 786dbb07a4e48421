//! HTTP servers as sources: a real nginx, alone, with peers, behind a password, encrypted, lying, and behind a cache.

mod cached;
mod object_store;
mod streamed;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::catalog_builds::{build, games, manifest};
use crate::catalogs::Organiser;
use crate::support::{DEADLINE, Finished, Receiver, Source, Tree, finish, peer, unrar_tree};

/// A running nginx; killed when dropped.
struct Nginx {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// Starts it with these directives in its only server, in which `@` stands for its folder.
    fn start(directives: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        // Another process can take the port before nginx has it, which then does not start: the next one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let here = folder.path().to_str().unwrap();
            let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let temporary = kinds.map(|kind| format!("{kind}_temp_path {here}/{kind};\n")).concat();
            let config = format!(
                "pid {here}/pid;\nerror_log {here}/error.log;\ndaemon off;\nmaster_process off;\nevents {{}}\nhttp {{\n\
                 {temporary}log_format ranges '$uri $status $http_range';\naccess_log {here}/access.log ranges;\nproxy_cache_path {here}/cache keys_zone=games:1m;\n\
                 server {{\nlisten 127.0.0.1:{port} PROTOCOL;\n{directives}\n}}\n}}\n"
            );
            let protocol = if directives.contains("ssl_certificate") { "ssl" } else { "" };
            let config = config.replace("PROTOCOL", protocol).replace('@', here);
            fs::write(folder.path().join("nginx.conf"), config).unwrap();
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = command.spawn().expect("these tests need nginx: apt-get install nginx-light");
            let begun = Instant::now();
            while process.try_wait().unwrap().is_none() {
                // It writes this once it listens. Whether something listens at the port says less: it can be another process.
                if fs::read(folder.path().join("pid")).is_ok_and(|pid| !pid.is_empty()) {
                    return Self { process, port, folder };
                }
                assert!(begun.elapsed() < DEADLINE, "nginx does not listen");
                std::thread::yield_now();
            }
        }
        panic!("nginx does not start: {}", fs::read_to_string(folder.path().join("error.log")).unwrap());
    }

    /// The requests that it answered.
    fn requests(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }
}

/// An organiser with games, and the manifest of the only one beside its files.
struct Fair {
    organiser: Organiser,
    games: PathBuf,
}

impl Fair {
    fn new(fixture: &str) -> Self {
        let organiser = Organiser::new();
        let games = games(&organiser, &[(fixture, "cnctw")]);
        build(&organiser, &[]).succeeded();
        Self { organiser, games }
    }

    fn with_manifest_beside(fixture: &str) -> Self {
        let fair = Self::new(fixture);
        fs::copy(manifest(&fair.organiser), fair.games.join("cnctw/manifest.lsm")).unwrap();
        fair
    }

    fn serve(&self) -> Nginx {
        Nginx::start(&format!("root {};", self.games.display()), |_| ())
    }

    fn catalog(&self) -> PathBuf {
        self.organiser.path("party/catalog.toml")
    }

    /// Compares what was downloaded with the files of the organiser.
    #[track_caller]
    fn assert_arrived(&self, receiver: &Receiver) {
        let only = |tree: Tree| {
            let is_root_file = |name: &str| {
                let extension = Path::new(name).extension();
                extension.is_some_and(|extension| extension == "eti") || name == "version.ini"
            };
            let files = tree.0.into_iter().filter(|(name, _)| is_root_file(name));
            files
                .map(|(name, shown)| (name, shown.split(" at ").next().unwrap().to_owned()))
                .collect::<Vec<_>>()
        };
        let (expected, got) =
            (Tree::read(&self.games.join("cnctw")), Tree::read(&receiver.games().join("cnctw")));
        assert_eq!(only(got), only(expected));
    }
}

/// A command on a game from this URL, not started. No proxy and no key of the machine that runs the tests is used.
fn command(receiver: &Receiver, words: &[&str], url: &str) -> Command {
    let mut command = peer();
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(variable);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.args(words).args(["cnctw", "--json", "--from", url, "--games-dir"]).arg(receiver.games());
    command.arg("--state-dir").arg(receiver.state());
    command
}

fn download(receiver: &Receiver, url: &str) -> Finished {
    finish(&mut command(receiver, &["download"], url))
}

#[test]
fn a_server_alone_is_enough_with_a_manifest_beside_the_files() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let nginx = fair.serve();
    let receiver = Receiver::new();
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let finished = download(&receiver, &url).succeeded().one("download-finished");
    assert_eq!((&finished["trust"], &finished["version"]), (&"unverified".into(), &"20250101".into()));
    assert_eq!(finished["sources"][0]["peer"].as_str(), Some(url.as_str()));
    fair.assert_arrived(&receiver);
    // What was only the word of a server is verified when a catalog lists it.
    let mut install = command(&receiver, &["install"], &url);
    let installed = finish(install.arg("--catalog").arg(fair.catalog())).succeeded().one("install-finished");
    assert_eq!(installed["trust"], "verified");
    assert_eq!(Tree::read(&receiver.local("cnctw")).0.len(), unrar_tree(&fair.games.join("cnctw")).0.len());
}

#[test]
fn with_a_catalog_a_server_needs_no_manifest_and_its_files_are_verified() {
    let fair = Fair::new("fixture-multi");
    let nginx = fair.serve();
    let receiver = Receiver::new();
    let url = format!("http://127.0.0.1:{}/{{game}}/{{file}}", nginx.port);
    let mut download = command(&receiver, &["download"], &url);
    let finished = finish(download.arg("--catalog").arg(fair.catalog()));
    assert_eq!(finished.succeeded().one("download-finished")["trust"], "verified");
    fair.assert_arrived(&receiver);
}

/// The catalog says where its games are, and a machine that has only the catalog fetches the manifest there too.
#[test]
fn a_catalog_names_servers_and_shows_them() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let nginx = fair.serve();
    let url = format!("http://guest:secret@127.0.0.1:{}/", nginx.port);
    let built = build(&fair.organiser, &["--source", &url]).succeeded().one("catalog-built");
    assert_eq!(built["version"], 2);
    let shown = fair.organiser.run(&["show", "party/catalog.toml"]);
    let shown = &shown.succeeded().stdout;
    assert!(shown.contains(&format!("source: http://127.0.0.1:{}/", nginx.port)), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");

    let receiver = Receiver::new();
    let alone = receiver.games().join("../catalog.toml");
    fs::copy(fair.catalog(), &alone).unwrap();
    let mut command = command(&receiver, &["download"], "http://127.0.0.1:1");
    let finished = finish(command.arg("--catalog").arg(&alone));
    assert_eq!(finished.succeeded().one("download-finished")["trust"], "verified");
    assert_eq!(finished.named("manifest-arrived").len(), 1);
    assert!(!finished.stdout.contains("secret") && !finished.stderr.contains("secret"));
    fair.assert_arrived(&receiver);
}

#[test]
fn a_server_without_a_manifest_is_no_source_and_the_error_says_what_to_do() {
    let fair = Fair::new("fixture-multi");
    let nginx = fair.serve();
    let receiver = Receiver::new();
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let refused = download(&receiver, &url);
    let error = refused.objects().into_iter().find(|object| object["event"] == "error").unwrap();
    assert_eq!((refused.status.code(), &error["code"]), (Some(3), &"no-server-manifest".into()), "{error}");
    let line = error.to_string();
    assert!(
        line.contains("manifest.lsm") && line.contains("404") && line.contains("manifest cnctw"),
        "{line}"
    );
    receiver.assert_untouched();

    for (bad, part) in [("ftp://h/", "http://"), ("http://user:secret@h/{x}", "{game} and {file}")] {
        let refused = download(&receiver, bad);
        assert_eq!(refused.status.code(), Some(2));
        assert!(refused.stdout.contains(part) && !refused.stdout.contains("secret"), "{}", refused.stdout);
    }
}

#[test]
fn chunks_come_from_peers_and_a_server_and_a_lie_is_named_and_replaced() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let honest = Source::start("honest", &fair.games);
    let lying = tempfile::tempdir().unwrap();
    let lying_game = lying.path().join("cnctw");
    fs::create_dir(&lying_game).unwrap();
    for file in fs::read_dir(fair.games.join("cnctw")).unwrap() {
        let file = file.unwrap();
        let mut content = fs::read(file.path()).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(lying_game.join(file.file_name()), content).unwrap();
    }
    let nginx = Nginx::start(&format!("root {};", lying.path().display()), |_| ());
    let receiver = Receiver::new();
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let mut command = command(&receiver, &["download", "--peer", &honest.address], &url);
    let finished = finish(command.arg("--catalog").arg(fair.catalog()));
    let done = finished.succeeded().one("download-finished");
    assert_eq!(done["trust"], "verified");
    assert!(done["sources"].as_array().unwrap().iter().all(|source| source["peer"] == "honest"), "{done}");
    let lies = finished.named("server-lied");
    assert!(lies.iter().all(|lie| lie["server"] == url.as_str()) && lies.len() <= 1, "{lies:?}");
    fair.assert_arrived(&receiver);

    // Without another source the download fails, and nothing that it wrote is wrong.
    let receiver = Receiver::new();
    let mut alone = self::command(&receiver, &["download"], &url);
    let failed = finish(alone.arg("--catalog").arg(fair.catalog()));
    assert_eq!(failed.status.code(), Some(4), "{}", failed.stdout);
    assert_eq!(failed.named("server-lied").len(), 1);
}

#[test]
fn a_password_is_used_and_never_shown() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let directives =
        format!("root {};\nauth_basic games;\nauth_basic_user_file @/users;", fair.games.display());
    let nginx =
        Nginx::start(&directives, |folder| fs::write(folder.join("users"), "us@er:{PLAIN}secret\n").unwrap());
    let receiver = Receiver::new();
    let refused = download(&receiver, &format!("http://us%40er:wrong-secret@127.0.0.1:{}", nginx.port));
    assert_eq!(refused.status.code(), Some(3));
    assert!(refused.stdout.contains("401"), "{}", refused.stdout);
    let url = format!("http://us%40er:secret@127.0.0.1:{}/", nginx.port);
    let mut loud = command(&receiver, &["download"], &url);
    let done = finish(loud.arg("-vv"));
    done.succeeded();
    for shown in [&done.stdout, &done.stderr, &refused.stdout, &refused.stderr] {
        assert!(!shown.contains("secret"), "{shown}");
    }
    fair.assert_arrived(&receiver);
}

/// Makes a certificate for this machine, and its key.
fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=games", "-addext", "subjectAltName=IP:127.0.0.1"]);
    // What is an authority is no server.
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]);
    openssl.arg(folder.join("key.pem")).arg("-out").arg(folder.join("certificate.pem"));
    assert!(openssl.stderr(Stdio::null()).status().unwrap().success());
}

/// The directives that use them.
const CERTIFICATE: &str = "ssl_certificate @/certificate.pem;\nssl_certificate_key @/key.pem;";

#[test]
fn an_encrypted_server_must_prove_its_name_to_an_authority_of_this_machine() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let nginx = Nginx::start(&format!("root {};\n{CERTIFICATE}", fair.games.display()), certificate);
    let receiver = Receiver::new();
    let url = format!("https://127.0.0.1:{}", nginx.port);
    let refused = download(&receiver, &url);
    assert_eq!(refused.status.code(), Some(3));
    assert!(refused.stdout.contains("no encrypted connection can be made"), "{}", refused.stdout);
    let mut trusting = command(&receiver, &["download"], &url);
    trusting.env("SSL_CERT_FILE", nginx.folder.path().join("certificate.pem"));
    finish(&mut trusting).succeeded();
    fair.assert_arrived(&receiver);
}

#[test]
fn no_redirect_leads_from_an_encrypted_server_to_one_that_is_not() {
    let fair = Fair::with_manifest_beside("fixture-multi");
    let plain = fair.serve();
    let redirect =
        format!("location / {{ return 302 http://127.0.0.1:{}$request_uri; }}\n{CERTIFICATE}", plain.port);
    let nginx = Nginx::start(&redirect, certificate);
    let receiver = Receiver::new();
    let url = format!("https://127.0.0.1:{}", nginx.port);
    let mut trusting = command(&receiver, &["download"], &url);
    trusting.env("SSL_CERT_FILE", nginx.folder.path().join("certificate.pem"));
    let refused = finish(&mut trusting);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.stdout);
    assert!(refused.stdout.contains("it redirects to http://127.0.0.1"), "{}", refused.stdout);
    assert!(refused.stdout.contains("which is not encrypted"), "{}", refused.stdout);
    assert_eq!(plain.requests(), "", "the other server was not asked");
}
