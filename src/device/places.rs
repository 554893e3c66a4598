//! Where nodes have to be computed, as far as that is decided.

use super::Device;

/// The devices that a node's operands lie on: a bit for each. None for numbers and what is made of them alone, which
/// are computed wherever they are needed; one for everything else that can be computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Places(u32);

impl Places {
    /// Anywhere.
    pub const NONE: Places = Places(0);
    /// On the processor.
    pub const HOST: Places = Places(1);

    /// On this device.
    #[inline]
    pub fn of(device: Device) -> Places {
        Places(1 << device.slot())
    }

    /// On the devices of both.
    #[inline]
    pub fn join(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }

    /// Whether nothing is decided.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it is more than one device.
    #[inline]
    pub fn disagree(self) -> bool {
        self.0 & self.0.wrapping_sub(1) != 0
    }

    /// Whether what lies at `other` can be used here.
    pub fn admits(self, other: Places) -> bool {
        other.is_none() || self.is_none() || self == other
    }

    /// The device, if it is one.
    #[inline]
    pub fn device(self) -> Option<Device> {
        (self.0.count_ones() == 1).then(|| Device::at(self.0.trailing_zeros() as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_joined_and_disagree() {
        let (host, first, last) = (
            Places::HOST,
            Places::of(Device::at(1)),
            Places::of(Device::at(31)),
        );
        assert_eq!(Places::NONE.join(first), first);
        assert!(first.join(host).disagree() && first.join(last).disagree());
        assert!(!first.join(first).disagree() && !Places::NONE.disagree());
        assert_eq!(last.device(), Some(Device::at(31)));
        assert_eq!(
            (Places::NONE.device(), host.join(last).device()),
            (None, None)
        );
        assert!(first.admits(Places::NONE) && Places::NONE.admits(first) && !first.admits(host));
    }
}
