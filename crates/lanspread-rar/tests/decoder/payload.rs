//! Data of the kinds that make `rar` use all its means. Always the same.

/// A small generator of pseudo-random numbers (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}

pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..bytes).map(|_| random.below(256) as u8).collect()
}

pub fn prose(seed: u64, bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "archive", "block", "the", "of", "and", "volume", "peer", "a", "game", "is", "that", "from",
        "literal", "distance", "window", "in", "it", "with", "solid", "stream", "to", "header", "who", "for",
    ];
    let mut random = Random(seed);
    let mut text = Vec::new();
    while text.len() < bytes {
        text.extend(WORDS[random.below(24) as usize].bytes());
        text.push(if random.below(12) == 0 { b'\n' } else { b' ' });
        if random.below(40) == 0 {
            text.extend(format!("{}", random.below(100_000)).bytes());
        }
    }
    text.truncate(bytes);
    text
}

/// Code with relative calls to few targets: what the E8 filter is for.
pub fn code(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let targets: Vec<u32> = (0..40).map(|_| random.below(bytes as u64) as u32).collect();
    let mut code: Vec<u8> = b"MZ\x90\x00".to_vec();
    while code.len() < bytes {
        if random.below(6) == 0 {
            code.push(if random.below(3) == 0 { 0xe9 } else { 0xe8 });
            let target = targets[random.below(40) as usize];
            code.extend(target.wrapping_sub(code.len() as u32 + 4).to_le_bytes());
        } else {
            code.extend([0x8b, random.below(16) as u8, 0x48, 0x89, random.below(4) as u8]);
        }
    }
    code.truncate(bytes);
    code
}

/// Stereo samples of 16 bits: what the delta filter is for.
pub fn sound(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut samples = [0i32; 2];
    let mut speeds = [300i32, -200];
    let mut out = Vec::new();
    while out.len() < bytes {
        for channel in 0..2 {
            speeds[channel] += random.below(81) as i32 - 40 - samples[channel] / 200;
            samples[channel] = (samples[channel] + speeds[channel]).clamp(-30_000, 30_000);
            out.extend((samples[channel] as i16).to_le_bytes());
        }
    }
    out.truncate(bytes);
    out
}

/// Records of a fixed length.
pub fn table(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut out = Vec::new();
    let mut id = 1000u32;
    while out.len() < bytes {
        id += 1 + random.below(3) as u32;
        out.extend(id.to_le_bytes());
        out.extend((random.below(500) as u16).to_le_bytes());
        out.extend([0, 0, 7, random.below(4) as u8]);
    }
    out.truncate(bytes);
    out
}
