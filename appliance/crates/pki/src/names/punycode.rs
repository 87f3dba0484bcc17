//! Punycode (RFC 3492), as far as telling it from something else.

/// Tells whether `text` decodes as Punycode with something beyond ASCII in it
/// (RFC 3492, 6.2).
pub(super) fn is_punycode(text: &str) -> bool {
    let (basic, extended) = match text.rsplit_once('-') {
        Some((basic, extended)) => (basic.len() as u32, extended),
        None => (0, text),
    };
    if extended.is_empty() {
        return false;
    }
    let (mut n, mut i, mut bias, mut output) = (128u32, 0u32, 72u32, basic);
    let mut octets = extended.bytes();
    let mut remaining = extended.len();
    while remaining > 0 {
        let (before, mut weight) = (i, 1u32);
        for k in (36u32..).step_by(36) {
            let Some(octet) = octets.next() else {
                return false;
            };
            remaining -= 1;
            let digit = match octet.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => u32::from(letter - b'a'),
                figure @ b'0'..=b'9' => u32::from(figure - b'0') + 26,
                _ => return false,
            };
            let Some(sum) = digit
                .checked_mul(weight)
                .and_then(|step| i.checked_add(step))
            else {
                return false;
            };
            i = sum;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            let Some(product) = weight.checked_mul(36 - threshold) else {
                return false;
            };
            weight = product;
        }
        output += 1;
        bias = adapt(i - before, output, before == 0);
        let Some(code_point) = n.checked_add(i / output) else {
            return false;
        };
        n = code_point;
        i %= output;
        if char::from_u32(n).is_none() {
            return false;
        }
        i += 1;
    }
    true
}

/// Adapts the bias between deltas (RFC 3492, 6.1).
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}
