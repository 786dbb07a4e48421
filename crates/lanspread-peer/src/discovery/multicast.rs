//! Finding peers by DNS-SD over multicast DNS (RFC 6762, RFC 6763): `_lanspread._tcp.local.`
//!
//! The `mdns-sd` crate owns the sockets and one thread; [`Discovery`] owns that thread. An instance of the service is
//! one run of a peer, so its name (`IDENTITY-INSTANCE`) never collides, and an old announcement in a cache is never
//! taken for the peer that runs now. What is heard is a hint: the handshake decides which peer answers.
//!
//! A member of a party announces a random number instead, another one in each run and each hour, so that only
//! members learn which peer is there, or that it is the one of the hour before.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use lanspread_proto::message::PROTOCOL_VERSION;
use lanspread_trust::party::PartyKey;
use lanspread_types::limits;
use lanspread_types::text::printable;
use mdns_sd::{
    DaemonEvent, DaemonStatus, IfKind, MDNS_PORT, Receiver, ResolvedService, ScopedIp, ServiceDaemon,
    ServiceEvent, ServiceInfo,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::discovery::announcement;
use crate::discovery::announcement::{
    Announcement, HeardAddress, Unusable, bytes_of_digits, digits_of_bytes,
};
use crate::discovery::directory::{MemberNumber, PeerKey};
use crate::discovery::heard::{Advertised, Heard};
use crate::discovery::networks;
use crate::discovery::networks::LinkNetwork;
use crate::source::library_index::Library;

const SERVICE: &str = "_lanspread._tcp.local.";
/// The port of multicast DNS.
pub(crate) const PORT: u16 = MDNS_PORT;
/// Whether this program has it.
pub(crate) const IS_BUILT: bool = true;

/// Running multicast DNS. Dropping it ends its thread without waiting; [`Self::stop`] says goodbye and waits.
pub(crate) struct Discovery {
    daemon: Option<ServiceDaemon>,
    browsing: Receiver<ServiceEvent>,
    troubles: Receiver<DaemonEvent>,
    /// Interfaces in use, as the system names them.
    interfaces: Vec<String>,
    party: Arc<PartyKey>,
    /// Names of the instances that this peer announces, or has announced until just now.
    announced: VecDeque<String>,
    /// The networks of this machine, and when they were read.
    networks: Option<(Instant, Vec<LinkNetwork>)>,
}

impl Discovery {
    /// Starts to listen on every interface that takes part in multicast, for the peers of this party. Returns the reason
    /// if nothing works.
    pub(crate) fn start(port: u16, party: Arc<PartyKey>) -> Result<Self, String> {
        let daemon = ServiceDaemon::new_with_port(port).map_err(|error| error.to_string())?;
        let asked = daemon.monitor().and_then(|troubles| Ok((troubles, daemon.browse(SERVICE)?)));
        match asked {
            Ok((troubles, browsing)) => Ok(Self {
                daemon: Some(daemon),
                browsing,
                troubles,
                interfaces: Vec::new(),
                party,
                announced: VecDeque::new(),
                networks: None,
            }),
            Err(error) => {
                let _ = daemon.shutdown();
                Err(error.to_string())
            }
        }
    }

    /// Announces this peer, or a new revision of its library.
    pub(crate) fn advertise(&mut self, advertised: &Advertised, revision: u64) -> Result<(), String> {
        let text = [
            ("proto", PROTOCOL_VERSION.to_string()),
            ("id", advertised.key.id.to_string()),
            ("inst", format!("{:x}", advertised.key.instance)),
            ("name", advertised.name.to_string()),
            ("rev", revision.to_string()),
        ];
        self.announce(&instance_name(advertised.key), &text, advertised.listening)
    }

    /// Announces this peer to the members of its party under a new number, and withdraws the number before.
    pub(crate) fn advertise_to_members(&mut self, advertised: &Advertised) -> Result<(), String> {
        let mut number = MemberNumber::default();
        getrandom::fill(&mut number).map_err(|error| error.to_string())?;
        let (tag, instance) =
            (self.party.tag(&number, advertised.listening.port()), digits_of_bytes(&number));
        let text =
            [("proto", PROTOCOL_VERSION.to_string()), ("n", instance.clone()), ("t", digits_of_bytes(&tag))];
        let before = self.announced.back().cloned();
        self.announce(&instance, &text, advertised.listening)?;
        if let (Some(before), Some(daemon)) = (before, &self.daemon) {
            daemon.unregister(&format!("{before}.{SERVICE}")).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn announce(
        &mut self,
        instance: &str,
        text: &[(&str, String)],
        listening: SocketAddr,
    ) -> Result<(), String> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let service = service(instance, text, listening).map_err(|error| error.to_string())?;
        daemon.register(service).map_err(|error| error.to_string())?;
        if self.announced.back().is_none_or(|last| last != instance) {
            self.announced.push_back(instance.to_owned());
        }
        while self.announced.len() > ANNOUNCED_KEPT {
            self.announced.pop_front();
        }
        Ok(())
    }

    /// Whether an announcement is this peer's own.
    fn is_ours(&self, full_name: &str) -> bool {
        let instance = full_name.split('.').next().unwrap_or_default();
        self.announced.iter().any(|ours| ours == instance)
    }

    /// The interfaces in use, once the search has begun; empty if there are none.
    pub(crate) fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// The networks of this machine, not older than [`limits::NETWORKS_INTERVAL`].
    fn networks(&mut self) -> &[LinkNetwork] {
        let now = Instant::now();
        let old = |read: &(Instant, _)| now.duration_since(read.0) >= limits::NETWORKS_INTERVAL;
        if self.networks.as_ref().is_none_or(old) {
            let read = networks::ours().unwrap_or_else(|error| {
                tracing::warn!(
                    "no announcement is used, because the networks of this machine are unknown: {error}"
                );
                Vec::new()
            });
            self.networks = Some((now, read));
        }
        self.networks.as_ref().map_or(&[], |(_, networks)| networks)
    }

    /// The next thing heard; none when multicast DNS has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            let event = tokio::select! {
                event = self.browsing.recv_async() => event,
                Ok(trouble) = self.troubles.recv_async() => {
                    if let DaemonEvent::Error(error) = trouble {
                        tracing::warn!("multicast DNS: {error}");
                    }
                    continue;
                }
            };
            let Ok(event) = event else {
                self.browse_again().await?;
                continue;
            };
            match event {
                ServiceEvent::SearchStarted(text) => self.interfaces = interfaces(&text),
                ServiceEvent::ServiceResolved(service) => {
                    if self.is_ours(&service.fullname) {
                        continue;
                    }
                    let party = Arc::clone(&self.party);
                    if let Some(heard) = resolved(&service, self.networks(), &party) {
                        return Some(heard);
                    }
                }
                ServiceEvent::ServiceRemoved(_, name) => {
                    if let Some(key) = instance_key(&name) {
                        return Some(Heard::Gone(key));
                    }
                }
                _ => {}
            }
        }
    }

    /// Asks for what is heard once more: the crate ends a subscription whose reader was too slow for a flood of announcements.
    /// It begins with what the crate knows. None if the thread has ended. Cancel-safe.
    async fn browse_again(&mut self) -> Option<()> {
        sleep(limits::BROWSE_AGAIN_PAUSE).await;
        self.browsing = self.daemon.as_ref()?.browse(SERVICE).ok()?;
        Some(())
    }

    /// Says goodbye and waits for the thread to end.
    pub(crate) async fn stop(mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        let ending = async {
            if let Some(instance) = self.announced.back()
                && let Ok(said) = daemon.unregister(&format!("{instance}.{SERVICE}"))
            {
                let _ = said.recv_async().await;
            }
            // The last thing that the thread does is to report its end.
            let ended = daemon.shutdown().map_err(|error| error.to_string())?;
            match ended.recv_async().await {
                Ok(DaemonStatus::Shutdown) | Err(_) => Ok(()),
                Ok(other) => Err(format!("{other:?}")),
            }
        };
        match timeout(limits::HELPER_STOP_DEADLINE, ending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("multicast DNS did not end: {error}"),
            Err(_) => tracing::error!("multicast DNS did not end in time"),
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            let _ = daemon.shutdown();
        }
    }
}

/// Numbers of this peer that may still be heard: the present one and the one before.
const ANNOUNCED_KEPT: usize = 2;

/// Announces a peer and passes what it hears of others to `heard`, until `stop`. Then says goodbye.
pub(crate) async fn run(
    mut discovery: Discovery,
    advertised: Advertised,
    mut library: watch::Receiver<Arc<Library>>,
    heard: impl Fn(Heard),
    stop: CancellationToken,
) {
    let follow = async {
        loop {
            let is_member = !discovery.party.is_open_network();
            let announced = if is_member {
                discovery.advertise_to_members(&advertised)
            } else {
                let revision = library.borrow_and_update().revision;
                discovery.advertise(&advertised, revision)
            };
            if let Err(error) = announced {
                tracing::warn!("this peer is not announced: {error}");
            }
            let hear = async {
                while let Some(something) = discovery.next().await {
                    heard(something);
                }
                tracing::warn!("multicast DNS ended; no more peers are found");
                std::future::pending::<()>().await;
            };
            let changed = async {
                if is_member {
                    // Members hear of a changed library over their connections, and no other peer is to notice it.
                    sleep(limits::MEMBER_NUMBER_LIFETIME).await;
                    return Ok(());
                }
                // Announces changes at most this often, and always the last one.
                sleep(limits::ANNOUNCE_INTERVAL).await;
                library.changed().await
            };
            tokio::select! {
                () = hear => {}
                changed = changed => if changed.is_err() { return },
            }
        }
    };
    stop.run_until_cancelled(follow).await;
    discovery.stop().await;
}

fn instance_name(key: PeerKey) -> String {
    format!("{}-{:016x}", key.id, key.instance)
}

/// The peer that an instance of the service announces, from its full name.
fn instance_key(full_name: &str) -> Option<PeerKey> {
    let name = full_name.split('.').next()?;
    if let Some(number) = bytes_of_digits(name) {
        return Some(PeerKey::of_number(number));
    }
    let (id, instance) = name.split_once('-')?;
    let digits = instance.len() == 16 && instance.bytes().all(|digit| digit.is_ascii_hexdigit());
    let instance = digits.then(|| u64::from_str_radix(instance, 16).ok()).flatten()?;
    Some(PeerKey { id: id.parse().ok()?, instance })
}

fn service(instance: &str, text: &[(&str, String)], listening: SocketAddr) -> mdns_sd::Result<ServiceInfo> {
    let host = format!("{instance}.local.");
    let (port, ip) = (listening.port(), listening.ip());
    let mut service = if ip.is_unspecified() {
        ServiceInfo::new(SERVICE, instance, &host, (), port, text)?.enable_addr_auto()
    } else {
        ServiceInfo::new(SERVICE, instance, &host, ip, port, text)?
    };
    // The name is random, so no other peer has it, and probing would only delay the first announcement.
    service.set_requires_probe(false);
    if ip.is_ipv4() && ip.is_unspecified() {
        service.set_interfaces(vec![IfKind::IPv4]);
    } else if ip.is_loopback() {
        let kind = if ip.is_ipv4() { IfKind::LoopbackV4 } else { IfKind::LoopbackV6 };
        service.set_interfaces(vec![kind]);
    }
    Ok(service)
}

/// What an announcement says; none if it cannot be used.
fn resolved(service: &ResolvedService, networks: &[LinkNetwork], party: &PartyKey) -> Option<Heard> {
    let addresses = service.addresses.iter().flat_map(heard_addresses).collect();
    let text = service.txt_properties.iter();
    let text = text.map(|property| (property.key().to_owned(), property.val().unwrap_or_default().to_vec()));
    let announcement = Announcement { port: service.port, addresses, text: text.collect() };
    match announcement::check(&announcement, networks, party) {
        Ok(hint) => Some(Heard::Hint(hint)),
        Err(Unusable::Stranger) => {
            Some(Heard::Stranger(printable(&service.fullname, limits::LABEL_BYTES_MAX)))
        }
        Err(Unusable::Protocol(protocol)) => {
            let name = service.txt_properties.get_property_val_str("name").unwrap_or("a peer");
            Some(Heard::OtherProtocol {
                protocol,
                name: printable(name, limits::LABEL_BYTES_MAX),
                address: announcement::addresses(&announcement, networks)
                    .ok()
                    .and_then(|found| found.first().copied()),
            })
        }
        Err(reason) => {
            let name = printable(&service.fullname, limits::LABEL_BYTES_MAX);
            tracing::debug!("the announcement of {name} is not used: {reason}");
            None
        }
    }
}

/// One address, once for each interface on which it was heard.
fn heard_addresses(scoped: &ScopedIp) -> Vec<HeardAddress> {
    let heard = |ip: IpAddr, index: u32, interface: &str| HeardAddress {
        ip,
        scope_id: index,
        on_loopback: interface == "lo" || interface == "lo0",
    };
    match scoped {
        ScopedIp::V4(v4) => {
            let ids = v4.interface_ids().iter();
            ids.map(|id| heard((*v4.addr()).into(), id.index, &id.name)).collect()
        }
        ScopedIp::V6(v6) => {
            let id = v6.scope_id();
            vec![heard((*v6.addr()).into(), id.index, &id.name)]
        }
        _ => vec![heard(Ipv6Addr::UNSPECIFIED.into(), 0, "")],
    }
}

/// The interfaces named at the end of the event that reports the start of the search: `… [eth0 (2), lo (1)]`. The crate
/// reports them nowhere else. If the text has another form, no interface is named.
fn interfaces(text: &str) -> Vec<String> {
    let list = text.rsplit_once('[').and_then(|(_, list)| list.strip_suffix(']')).unwrap_or_default();
    let names =
        list.split(", ").filter_map(|entry| entry.rsplit_once(" (")).map(|(name, _)| printable(name, 32));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
