//! The counter-based random generator Philox 4x32 with 10 rounds.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The four output words for a key and a counter.
pub fn philox4x32(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let wide = |m: u32, word: u32| u64::from(m) * u64::from(word);
        let (a, b) = (
            wide(MULTIPLIERS[0], counter[0]),
            wide(MULTIPLIERS[1], counter[2]),
        );
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [
            key[0].wrapping_add(KEY_STEPS[0]),
            key[1].wrapping_add(KEY_STEPS[1]),
        ];
    }
    counter
}

/// The random bits of element number `element`: the key is the seed, the counter the element and
/// the stream, low words first; the result is the first two output words, the first one low.
pub fn random_bits(seed: u64, stream: u64, element: u64) -> u64 {
    let words = |x: u64| [x as u32, (x >> 32) as u32];
    let ([e0, e1], [s0, s1]) = (words(element), words(stream));
    let out = philox4x32(words(seed), [e0, e1, s0, s1]);
    u64::from(out[0]) | u64::from(out[1]) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(
            philox4x32([0; 2], [0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([u32::MAX; 2], [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn counter_words_are_element_and_stream() {
        let seed = 0x299f_31d0_a409_3822;
        let bits = random_bits(seed, 0x0370_7344_1319_8a2e, 0x85a3_08d3_243f_6a88);
        assert_eq!(bits, 0x94fd_cceb_d16c_fe09);
    }
}
