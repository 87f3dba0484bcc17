//! Address ranges that are not the public Internet (the IANA special-purpose
//! registries of RFC 6890, multicast, and what else is never a public target).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A special range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The block.
    pub(super) block: IpNet,
    /// What it is, as in "192.168.1.1 is a private address".
    pub(super) name: &'static str,
    /// Whether the configuration may open addresses of it.
    pub(super) can_be_opened: bool,
}

impl Range {
    /// Tells whether a block lies within the range.
    pub(super) fn contains_block(&self, block: &IpNet) -> bool {
        self.block.contains(block)
    }
}

/// An IPv4 range.
const fn v4(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    bits: u8,
    name: &'static str,
    can_be_opened: bool,
) -> Range {
    Range {
        block: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)),
        name,
        can_be_opened,
    }
}

/// An IPv6 range by its first three groups, all others being nought.
const fn v6(first: [u16; 3], bits: u8, name: &'static str, can_be_opened: bool) -> Range {
    let [a, b, c] = first;
    Range {
        block: IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0),
            bits,
        )),
        name,
        can_be_opened,
    }
}

/// IPv4 ranges, a narrower one before the wider it lies in.
const IPV4: [Range; 16] = [
    v4(
        0,
        0,
        0,
        0,
        8,
        "an address of \"this network\" (RFC 791)",
        false,
    ),
    v4(10, 0, 0, 0, 8, "a private address (RFC 1918)", true),
    v4(
        100,
        64,
        0,
        0,
        10,
        "a shared address of carriers (RFC 6598)",
        true,
    ),
    v4(127, 0, 0, 0, 8, "a loopback address", true),
    v4(169, 254, 0, 0, 16, "a link-local address", true),
    v4(172, 16, 0, 0, 12, "a private address (RFC 1918)", true),
    v4(
        192,
        0,
        0,
        0,
        24,
        "an address of IETF protocols (RFC 6890)",
        true,
    ),
    v4(
        192,
        0,
        2,
        0,
        24,
        "an address of documentation (RFC 5737)",
        true,
    ),
    v4(192, 88, 99, 0, 24, "a 6to4 relay (RFC 7526)", true),
    v4(192, 168, 0, 0, 16, "a private address (RFC 1918)", true),
    v4(
        198,
        18,
        0,
        0,
        15,
        "an address of benchmarks (RFC 2544)",
        true,
    ),
    v4(
        198,
        51,
        100,
        0,
        24,
        "an address of documentation (RFC 5737)",
        true,
    ),
    v4(
        203,
        0,
        113,
        0,
        24,
        "an address of documentation (RFC 5737)",
        true,
    ),
    v4(224, 0, 0, 0, 4, "a multicast address", false),
    v4(255, 255, 255, 255, 32, "the broadcast address", false),
    v4(240, 0, 0, 0, 4, "a reserved address (RFC 1112)", true),
];

/// ::/128: what a program that forgot the address connects to.
const UNSPECIFIED: Range = v6([0, 0, 0], 128, "the unspecified address", false);

/// ::1/128.
const LOOPBACK: Range = Range {
    block: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    name: "the loopback address",
    can_be_opened: true,
};

/// 100:0:0:1::/64.
const DUMMY: Range = Range {
    block: IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0),
        64,
    )),
    name: "a dummy prefix (RFC 9780)",
    can_be_opened: true,
};

/// IPv6 ranges, a narrower one before the wider it lies in.
const IPV6: [Range; 15] = [
    UNSPECIFIED,
    LOOPBACK,
    v6([0, 0, 0], 96, "an IPv4-compatible address (RFC 4291)", true),
    v6(
        [0x64, 0xff9b, 1],
        48,
        "an address of local translation (RFC 8215)",
        true,
    ),
    v6([0x100, 0, 0], 64, "a discard address (RFC 6666)", true),
    DUMMY,
    v6(
        [0x2001, 0, 0],
        23,
        "an address of IETF protocols, Teredo among them (RFC 2928)",
        true,
    ),
    v6(
        [0x2001, 0xdb8, 0],
        32,
        "an address of documentation (RFC 3849)",
        true,
    ),
    v6([0x2002, 0, 0], 16, "a 6to4 address (RFC 3056)", true),
    v6(
        [0x3fff, 0, 0],
        20,
        "an address of documentation (RFC 9637)",
        true,
    ),
    v6(
        [0x5f00, 0, 0],
        16,
        "a segment routing address (RFC 9602)",
        true,
    ),
    v6([0xfc00, 0, 0], 7, "a unique local address (RFC 4193)", true),
    v6([0xfe80, 0, 0], 10, "a link-local address", true),
    v6([0xfec0, 0, 0], 10, "a site-local address (RFC 3879)", true),
    v6([0xff00, 0, 0], 8, "a multicast address", false),
];

/// 2000::/3, all that is assigned as global unicast (RFC 4291, 2.4).
const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// 64:ff9b::/96, by which NAT64 reaches IPv4 (RFC 6052, 2.1).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whatever of IPv6 is assigned to nothing.
const UNASSIGNED: Range = v6(
    [0, 0, 0],
    0,
    "an address outside global unicast (RFC 4291)",
    true,
);

/// Finds the special range that an address lies in; none if it is public.
pub(super) fn range_of(address: IpAddr) -> Option<&'static Range> {
    let among =
        |ranges: &'static [Range]| ranges.iter().find(|range| range.block.contains(&address));
    match address {
        IpAddr::V4(_) => among(&IPV4),
        IpAddr::V6(v6) => among(&IPV6).or_else(|| {
            let public = GLOBAL_UNICAST.contains(&v6) || NAT64.contains(&v6);
            (!public).then_some(&UNASSIGNED)
        }),
    }
}

/// Finds the special range that the whole of a block lies in.
pub(super) fn range_around(block: &IpNet) -> Option<&'static Range> {
    let among = |ranges: &'static [Range]| ranges.iter().find(|range| range.contains_block(block));
    match block {
        IpNet::V4(_) => among(&IPV4),
        IpNet::V6(v6) => among(&IPV6).or_else(|| {
            let open = [GLOBAL_UNICAST, NAT64];
            let apart = |other: &Ipv6Net| !other.contains(v6) && !v6.contains(other);
            // Special ranges that the block lies across are not opened by it.
            open.iter().all(apart).then_some(&UNASSIGNED)
        }),
    }
}

/// Finds the IPv4 address that a translator or tunnel would make of an IPv6 one.
pub(super) fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let four = |at: usize| -> Option<Ipv4Addr> {
        let four: [u8; 4] = octets.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(four))
    };
    let [first, second, ..] = address.segments();
    if NAT64.contains(&address) {
        // RFC 6052, 2.2: with a /96 prefix the last 32 bits.
        return four(12);
    }
    match (first, second) {
        // RFC 3056, 2: 2002:V4ADDR::/48.
        (0x2002, _) => four(2),
        // RFC 4380, 4: the client's address, inverted, in the last 32 bits.
        (0x2001, 0) => four(12).map(|inverted| Ipv4Addr::from_bits(!inverted.to_bits())),
        // RFC 8215: most translators use a /96 below the prefix.
        (0x64, 0xff9b) => four(12),
        // RFC 4291, 2.5.5.1: ::a.b.c.d; :: and ::1 are ranges of their own.
        (0, 0)
            if octets.iter().take(12).all(|octet| *octet == 0)
                && !address.is_loopback()
                && !address.is_unspecified() =>
        {
            four(12)
        }
        _ => None,
    }
}
