//! Buffers for tests at places of their choice.

/// Copies of buffers, each so many bytes behind a multiple of 64.
pub(crate) struct Placed {
    places: Vec<Vec<u8>>,
    lens: Vec<usize>,
    shift: usize,
}

impl Placed {
    pub fn new(buffers: &[Vec<u8>], shift: usize) -> Placed {
        let mut placed = Placed {
            places: { buffers.iter() }
                .map(|b| vec![0; b.len() + 64 + shift])
                .collect(),
            lens: buffers.iter().map(Vec::len).collect(),
            shift,
        };
        let slices = placed.slices().zip(buffers);
        slices.for_each(|(place, contents)| place.copy_from_slice(contents));
        placed
    }

    fn slices(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let shift = self.shift;
        { self.places.iter_mut().zip(&self.lens) }.map(move |(place, len)| {
            let begin = place.as_ptr().align_offset(64) + shift;
            &mut place[begin..begin + len]
        })
    }

    /// Where the copies begin.
    pub fn pointers(&mut self) -> Vec<*mut u8> {
        self.slices().map(<[u8]>::as_mut_ptr).collect()
    }

    /// What they hold now.
    pub fn contents(mut self) -> Vec<Vec<u8>> {
        self.slices().map(|place| place.to_vec()).collect()
    }
}
