//! [`Resolve`] by hickory over the configured recursive name servers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig as Servers,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tracing::debug;

use super::config::{CheckedResolver, InvalidResolverConfig};
use super::{CaaRecord, DnsFailure, DnsProblem, RecordKind, Resolve};

/// Most questions under way over one connection to a name server.
const MAX_ACTIVE: usize = 4096;

/// Most records of one answer that are looked at.
const MAX_RECORDS: usize = 256;

/// Asks recursive name servers, keeping nothing.
pub struct DnsResolver {
    /// Hickory.
    resolver: TokioResolver,
    /// Time for one lookup, all its attempts included.
    limit: Duration,
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl DnsResolver {
    /// Makes the resolver.
    ///
    /// # Errors
    ///
    /// `System` when no servers are configured and the system names none.
    pub fn new(config: &CheckedResolver) -> Result<Self, InvalidResolverConfig> {
        let servers = if config.servers.is_empty() {
            let (system, _) = read_system_conf().map_err(|_| InvalidResolverConfig::System)?;
            // Search domains are for people; names here are complete.
            Servers::from_name_servers(system.name_servers().to_vec())
        } else {
            Servers::from_name_servers(config.servers.iter().copied().map(name_server).collect())
        };
        let mut builder =
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.timeout = config.timeout;
        options.attempts = config.attempts.saturating_sub(1);
        options.max_active_requests = MAX_ACTIVE;
        options.use_hosts_file = ResolveHosts::Never;
        // Yesterday's answer proves nothing: each question is asked anew.
        options.cache_size = 0;
        options.preserve_intermediates = false;
        let attempts = u32::try_from(config.attempts).unwrap_or(u32::MAX);
        Ok(Self {
            resolver: builder.build().map_err(|_| InvalidResolverConfig::System)?,
            // Each attempt may go by UDP and then by TCP.
            limit: config.timeout.saturating_mul(attempts).saturating_mul(2),
        })
    }

    /// Asks for the records of one type.
    async fn lookup(
        &self,
        name: &str,
        kind: RecordKind,
        record_type: RecordType,
    ) -> Result<Vec<RData>, DnsFailure> {
        let failure = |problem| DnsFailure {
            name: name.into(),
            kind,
            problem,
        };
        let mut fqdn = Name::from_ascii(name).map_err(|_| failure(DnsProblem::InvalidName))?;
        fqdn.set_fqdn(true);
        let asked = self.resolver.lookup(fqdn, record_type);
        let answer = match tokio::time::timeout(self.limit, asked).await {
            Err(_) => return Err(failure(DnsProblem::Timeout { limit: self.limit })),
            Ok(Err(error)) => return Err(failure(self.problem(name, &error))),
            Ok(Ok(answer)) => answer,
        };
        let records: Vec<RData> = answer
            .answers()
            .iter()
            .filter(|record| record.record_type() == record_type)
            .take(MAX_RECORDS)
            .map(|record| record.data.clone())
            .collect();
        if records.is_empty() {
            return Err(failure(DnsProblem::NoRecords));
        }
        Ok(records)
    }

    /// Says what hickory's error means to whoever set the record.
    fn problem(&self, name: &str, error: &NetError) -> DnsProblem {
        let failed = |code: ResponseCode| DnsProblem::ServerFailed {
            code: code.to_str().into(),
        };
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => DnsProblem::NoSuchName,
                ResponseCode::NoError => DnsProblem::NoRecords,
                code => failed(code),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => failed(*code),
            NetError::Timeout => DnsProblem::Timeout { limit: self.limit },
            other => {
                debug!(dns.name = name, "no answer about {name}: {other}");
                DnsProblem::Unreachable
            }
        }
    }
}

/// Reaches a server by UDP, and by TCP where an answer is too long for it.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    // NXDOMAIN of a recursive server is an answer, not a reason to ask the next.
    NameServerConfig::new(address.ip(), true, connections.into())
}

#[async_trait]
impl Resolve for DnsResolver {
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let (six, four) = tokio::join!(
            self.lookup(name, RecordKind::Address, RecordType::AAAA),
            self.lookup(name, RecordKind::Address, RecordType::A),
        );
        // Half an answer is enough to connect; that there is nothing must be
        // said by both.
        let (six, four) = match (six, four) {
            (Err(six), Err(four)) => return Err(if six.is_absence() { four } else { six }),
            (six, four) => (six.unwrap_or_default(), four.unwrap_or_default()),
        };
        Ok(six
            .into_iter()
            .chain(four)
            .filter_map(|record| record.ip_addr())
            .collect())
    }

    async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsFailure> {
        let records = self.lookup(name, RecordKind::Txt, RecordType::TXT).await?;
        Ok(records
            .into_iter()
            .filter_map(|record| match record {
                RData::TXT(text) => Some(text.txt_data.concat()),
                _ => None,
            })
            .collect())
    }

    async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, DnsFailure> {
        match self.lookup(name, RecordKind::Caa, RecordType::CAA).await {
            Ok(records) => Ok(records
                .into_iter()
                .filter_map(|record| match record {
                    RData::CAA(caa) => Some(CaaRecord {
                        critical: caa.issuer_critical,
                        tag: caa.tag.into(),
                        value: caa.value.into(),
                    }),
                    _ => None,
                })
                .collect()),
            Err(failure) if failure.is_absence() => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }
}
