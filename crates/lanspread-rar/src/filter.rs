//! Filters: transformations that made data more compressible, undone before it is handed on.
//!
//! The dictionary keeps the data as it was packed; only what leaves the decoder is transformed. Source: libarchive's
//! `archive_read_support_format_rar5.c` and the `rars` crate, `codec/rar50.rs`.

// Addresses in filtered code have 32 bits, and count modulo smaller numbers.
#![allow(clippy::cast_possible_truncation)]

/// The longest range of a filter. `rar` keeps to it, and all decoders refuse more.
pub(crate) const FILTER_BYTES_MAX: u32 = 4 << 20;
/// How many filters may wait for their data; as other decoders have it.
pub(crate) const FILTERS_MAX: usize = 8192;

/// A filter and its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// First byte: from the symbol on in a batch, from the member's start on in the window.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) length: u32,
    pub(crate) kind: FilterKind,
}

/// What a filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterKind {
    /// Bytes of several interleaved channels, each as the difference to the one before.
    Delta { channels: usize },
    /// Targets of x86 `CALL`, as distances from the start of the member.
    E8,
    /// Targets of x86 `CALL` and `JMP`.
    E8E9,
    /// Targets of ARM `BL`.
    Arm,
}

impl FilterKind {
    /// Undoes the filter on `data`, which begins `start` bytes after the member's start. The result is in `out`.
    pub(crate) fn undo(self, data: &[u8], start: u64, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::Delta { channels } => {
                out.resize(data.len(), 0);
                delta(data, channels, out);
            }
            Self::E8 => {
                out.extend_from_slice(data);
                x86(out, start as u32, 0xff);
            }
            Self::E8E9 => {
                out.extend_from_slice(data);
                x86(out, start as u32, 0xfe);
            }
            Self::Arm => {
                out.extend_from_slice(data);
                arm(out, start as u32);
            }
        }
    }
}

/// `data` has the channels one after the other, `out` gets them interleaved.
fn delta(data: &[u8], channels: usize, out: &mut [u8]) {
    match channels {
        1 => delta_of::<1>(data, out),
        2 => delta_of::<2>(data, out),
        3 => delta_of::<3>(data, out),
        4 => delta_of::<4>(data, out),
        _ => delta_of_many(data, channels, out),
    }
}

/// The usual numbers of channels, side by side, so that `out` is written once and in order.
fn delta_of<const CHANNELS: usize>(data: &[u8], out: &mut [u8]) {
    let whole = data.len() / CHANNELS;
    let longer = data.len() % CHANNELS;
    let mut rest = data;
    let planes: [&[u8]; CHANNELS] = std::array::from_fn(|channel| {
        let (plane, others) = rest.split_at(whole + usize::from(channel < longer));
        rest = others;
        plane
    });
    let mut last = [0u8; CHANNELS];
    let common = planes.map(|plane| &plane[..whole]);
    let (groups, tail) = out.as_chunks_mut::<CHANNELS>();
    for (at, group) in groups.iter_mut().enumerate() {
        for channel in 0..CHANNELS {
            last[channel] = last[channel].wrapping_sub(common[channel][at]);
            group[channel] = last[channel];
        }
    }
    for (channel, byte) in tail.iter_mut().enumerate() {
        *byte = last[channel].wrapping_sub(planes[channel][whole]);
    }
}

fn delta_of_many(data: &[u8], channels: usize, out: &mut [u8]) {
    let mut bytes = data.iter();
    for channel in 0..channels.min(out.len()) {
        let mut last = 0u8;
        // The places first: `zip` takes one more of its first iterator than there are of its second.
        for (place, byte) in out[channel..].iter_mut().step_by(channels).zip(bytes.by_ref()) {
            last = last.wrapping_sub(*byte);
            *place = last;
        }
    }
}

/// Makes addresses relative again. They count modulo 16 MiB, so that every program has them in common.
fn x86(data: &mut [u8], start: u32, opcode_mask: u8) {
    const MODULUS: u32 = 1 << 24;
    const SIGN: u32 = 1 << 31;
    // An instruction in the last four bytes has no whole address.
    let Some(end) = data.len().checked_sub(4) else { return };
    let mut at = 0;
    while let Some(opcode) = find_opcode(&data[..end], at, opcode_mask) {
        let operand = opcode + 1;
        let offset = start.wrapping_add(operand as u32) % MODULUS;
        if let Some(bytes) = data[operand..].first_chunk_mut() {
            let address = u32::from_le_bytes(*bytes);
            let relative = if address & SIGN != 0 {
                (address.wrapping_add(offset) & SIGN == 0).then(|| address.wrapping_add(MODULUS))
            } else {
                (address < MODULUS).then(|| address.wrapping_sub(offset))
            };
            if let Some(relative) = relative {
                *bytes = relative.to_le_bytes();
            }
        }
        at = operand + 4;
    }
}

/// The next byte from `at` on that is `0xe8` under the mask; eight at a time, as most are not.
fn find_opcode(data: &[u8], mut at: usize, mask: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    while let Some(chunk) = data.get(at..).and_then(<[u8]>::first_chunk) {
        let difference = (u64::from_le_bytes(*chunk) & (ONES * u64::from(mask))) ^ (ONES * 0xe8);
        // The highest bit of each byte that is zero, and perhaps of bytes above the lowest of these.
        let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = data.get(at..)?;
    rest.iter().position(|byte| byte & mask == 0xe8).map(|found| at + found)
}

/// Makes addresses relative again: 24 bits, counted in instructions of four bytes.
fn arm(data: &mut [u8], start: u32) {
    let (instructions, _) = data.as_chunks_mut::<4>();
    for (at, instruction) in instructions.iter_mut().enumerate() {
        if instruction[3] == 0xeb {
            let address = u32::from_le_bytes(*instruction);
            let relative = address.wrapping_sub(start.wrapping_add(at as u32 * 4) / 4);
            *instruction = (relative & 0x00ff_ffff | 0xeb00_0000).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undo(kind: FilterKind, data: &[u8], start: u64) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        kind.undo(data, start, &mut out);
        out
    }

    #[test]
    fn delta_is_the_same_for_every_way_to_do_it() {
        let data: Vec<u8> = (0..1003u32).map(|i| (i * i / 7) as u8).collect();
        for channels in 1..=32 {
            for length in [0, 1, 2, 3, 5, 31, 32, 33, 1003] {
                let data = &data[..length];
                let mut expected = vec![0; length];
                let mut source = 0;
                for channel in 0..channels {
                    let mut last = 0u8;
                    for at in (channel..length).step_by(channels) {
                        last = last.wrapping_sub(data[source]);
                        expected[at] = last;
                        source += 1;
                    }
                }
                assert_eq!(undo(FilterKind::Delta { channels }, data, 0), expected, "{channels} of {length}");
            }
        }
    }

    #[test]
    fn an_instruction_without_a_whole_address_is_left_alone() {
        for length in 0..=4 {
            let data = vec![0xe8; length];
            assert_eq!(undo(FilterKind::E8, &data, 0), data);
        }
        // The address 5 + 1 of the only whole instruction becomes relative to its operand.
        assert_eq!(undo(FilterKind::E8, &[0xe8, 6, 0, 0, 0, 0xe8], 0), [0xe8, 5, 0, 0, 0, 0xe8]);
        assert_eq!(undo(FilterKind::E8, &[0xe9, 6, 0, 0, 0, 0], 0), [0xe9, 6, 0, 0, 0, 0]);
        assert_eq!(undo(FilterKind::E8E9, &[0xe9, 6, 0, 0, 0, 0], 0), [0xe9, 5, 0, 0, 0, 0]);
    }

    #[test]
    fn an_opcode_is_found_wherever_it_is() {
        for length in 0..40 {
            for place in 0..length {
                for from in 0..=place {
                    let mut data = vec![0x68; length];
                    data[place] = 0xe9;
                    assert_eq!(find_opcode(&data, from, 0xfe), Some(place));
                    assert_eq!(find_opcode(&data, from, 0xff), None);
                }
            }
        }
    }

    #[test]
    fn addresses_of_arm_count_in_instructions() {
        let data = [0x10, 0, 0, 0xeb, 0x10, 0, 0, 0xeb, 0x10, 0, 0, 0xea, 0, 0xeb];
        let expected = [0x0e, 0, 0, 0xeb, 0x0d, 0, 0, 0xeb, 0x10, 0, 0, 0xea, 0, 0xeb];
        assert_eq!(undo(FilterKind::Arm, &data, 8), expected);
    }
}
