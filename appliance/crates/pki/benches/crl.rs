//! What a CRL of a million entries costs before the token signs it, beside its floor.
//!
//! `cargo bench -p pki --bench crl`; "max alloc" is the peak memory, without what the
//! entries take.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use model::{NodePrefix, RevocationReason, SerialNumber, Timestamp};
use pki::crl::{self, Crl, CrlNumber, CrlPlan, append_entry};
use support::{Authority, TestKey, now};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Entries of the list.
const ENTRIES: usize = 1_000_000;

fn main() {
    divan::main();
}

/// What is revoked.
struct Revoked {
    /// The entries, joined.
    joined: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Revoked {
    /// Encodes entries with serial numbers that ascend, or are in no order.
    fn new(ascending: bool) -> Self {
        let (mut joined, mut ends) = (Vec::new(), Vec::new());
        for number in 0..ENTRIES as u64 {
            // Multiplied by an odd constant, numbers are spread and still all different.
            let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let first = if ascending { number } else { spread };
            let mut random = [0; 16];
            random[..8].copy_from_slice(&first.to_be_bytes());
            random[8..].copy_from_slice(&spread.to_be_bytes());
            let serial = SerialNumber::from_random(NodePrefix::default(), random);
            // As in the field: most say why, some do not.
            let reason = match number % 4 {
                0 => RevocationReason::Unspecified,
                1 => RevocationReason::KeyCompromise,
                _ => RevocationReason::Superseded,
            };
            let date = Timestamp::from_second(now().as_second() - number as i64 % 100_000);
            append_entry(&mut joined, &serial, date.unwrap(), reason, None).unwrap();
            ends.push(joined.len());
        }
        Self { joined, ends }
    }

    /// Walks the entries one by one.
    fn entries(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.joined[start..*end])
    }
}

/// A P-256 root, and a plan for today.
fn stage() -> (Authority, CrlPlan) {
    let authority = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let tomorrow = Timestamp::from_second(now().as_second() + 86_400).unwrap();
    let plan = CrlPlan::full(CrlNumber::from(7), now(), tomorrow);
    (authority, plan)
}

/// The floor: the same octets copied and hashed.
#[divan::bench(sample_count = 20)]
fn copy_and_hash(bencher: Bencher<'_, '_>) {
    let revoked = Revoked::new(true);
    bencher
        .counter(BytesCount::from(revoked.joined.len()))
        .bench(|| {
            let copy = black_box(&revoked.joined).clone();
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &copy);
            (copy, digest)
        });
}

/// Encodes, entry by entry.
#[divan::bench(sample_count = 20)]
fn encode(bencher: Bencher<'_, '_>) {
    let (revoked, (authority, plan)) = (Revoked::new(true), stage());
    bencher
        .counter(BytesCount::from(revoked.joined.len()))
        .bench(|| plan.encode(&authority.facts, revoked.entries()).unwrap());
}

/// Encodes, lints and assembles; all but the signature. Serial numbers ascend or not.
#[divan::bench(sample_count = 20, args = [true, false])]
fn encode_lint_assemble(bencher: Bencher<'_, '_>, ascending: bool) {
    let (revoked, (authority, plan)) = (Revoked::new(ascending), stage());
    let signature = authority.key.sign(authority.key.algorithm(), b"any");
    bencher
        .counter(BytesCount::from(revoked.joined.len()))
        .bench(|| {
            let planned = plan.encode(&authority.facts, revoked.entries()).unwrap();
            let linted = crl::lint(planned, &plan, &authority.facts, now()).unwrap();
            linted.assemble(&signature).unwrap()
        });
}

/// Parses, every entry checked.
#[divan::bench(sample_count = 20)]
fn parse(bencher: Bencher<'_, '_>) {
    let (revoked, (authority, plan)) = (Revoked::new(true), stage());
    let planned = plan.encode(&authority.facts, revoked.entries()).unwrap();
    let linted = crl::lint(planned, &plan, &authority.facts, now()).unwrap();
    let signature = authority
        .key
        .sign(linted.signature_algorithm(), linted.tbs_der());
    let der = linted.assemble(&signature).unwrap();
    bencher
        .counter(BytesCount::from(der.len()))
        .bench(|| Crl::parse(black_box(&der)).unwrap().len());
}

/// Encodes one entry, as when its revocation is accepted.
#[divan::bench]
fn one_entry() -> Box<[u8]> {
    let serial = support::serial(7);
    crl::encode_entry(&serial, now(), RevocationReason::Superseded, None).unwrap()
}
