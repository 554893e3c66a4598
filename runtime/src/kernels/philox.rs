//! Random bits: Philox 4x32-10, a keyed bijection of counters. The reference for generated code.

/// Ten rounds on a counter, low word first.
pub const fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut round = 0;
    while round < 10 {
        let a = counter[0] as u64 * 0xD251_1F53;
        let b = counter[2] as u64 * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [
            key[0].wrapping_add(0x9E37_79B9),
            key[1].wrapping_add(0xBB67_AE85),
        ];
        round += 1;
    }
    counter
}

const fn words(seed: u64, stream: u64, element: u64) -> [u32; 4] {
    let counter = [
        element as u32,
        (element >> 32) as u32,
        stream as u32,
        (stream >> 32) as u32,
    ];
    philox4x32(counter, [seed as u32, (seed >> 32) as u32])
}

/// 32 random bits of an element: the first word for key `seed` and counter (element, stream).
pub const fn random_u32(seed: u64, stream: u64, element: u64) -> u32 {
    words(seed, stream, element)[0]
}

/// 64 random bits of an element: the first two words, low word first.
pub const fn random_u64(seed: u64, stream: u64, element: u64) -> u64 {
    let words = words(seed, stream, element);
    words[0] as u64 | (words[1] as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let zeros = [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8];
        assert_eq!(philox4x32([0; 4], [0; 2]), zeros);
        let ones = [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD];
        assert_eq!(philox4x32([!0; 4], [!0; 2]), ones);
        let counter = [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344];
        let pi = [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1];
        assert_eq!(philox4x32(counter, [0xA409_3822, 0x299F_31D0]), pi);
    }

    #[test]
    fn words_are_taken_low_first() {
        let (seed, stream, element) = (
            0x299F_31D0_A409_3822,
            0x0370_7344_1319_8A2E,
            0x85A3_08D3_243F_6A88,
        );
        assert_eq!(random_u32(seed, stream, element), 0xD16C_FE09);
        assert_eq!(random_u64(seed, stream, element), 0x94FD_CCEB_D16C_FE09);
    }
}
