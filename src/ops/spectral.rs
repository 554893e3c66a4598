//! Short-time Fourier transforms: of overlapping windows of a signal, and back by adding them up.

use super::composite::{attempt, bad_argument, bad_dtype, bad_shape};
use super::fft::{FftNorm, FftOptions, fitted};
use super::window::PadMode;
use crate::error::{Error, Result};
use crate::tensor::{Dim, Tensor, primitive};
use lazulite_ir::{DType, Op};

/// How a signal is cut into windows for [`Tensor::stft`].
#[derive(Clone, Debug)]
pub struct StftOptions {
    /// Steps from window to window; a quarter of a transform if `None`.
    pub hop: Option<usize>,
    /// Samples of a window, in the middle of a transform, the rest of which is 0; all if `None`.
    pub window_len: Option<usize>,
    /// Factors of the samples; 1 if `None`.
    pub window: Option<Tensor>,
    /// Whether the signal is extended so that windows are centred at the multiples of `hop`.
    pub center: bool,
    /// How it is extended.
    pub pad_mode: PadMode,
    /// Whether the result is divided by the square root of the transform's length.
    pub normalized: bool,
    /// Whether only the half that determines a real signal's transform is wanted; so if `None` and signal and
    /// window are real.
    pub onesided: Option<bool>,
    /// Without `center`: whether the first window, not the first transform, begins with the signal.
    pub align_to_window: bool,
}

impl Default for StftOptions {
    fn default() -> StftOptions {
        StftOptions {
            hop: None,
            window_len: None,
            window: None,
            center: true,
            pad_mode: PadMode::Reflect,
            normalized: false,
            onesided: None,
            align_to_window: false,
        }
    }
}

/// How windows make a signal in [`Tensor::istft`].
#[derive(Clone, Debug)]
pub struct IstftOptions {
    /// As in [`StftOptions`].
    pub hop: Option<usize>,
    /// As in [`StftOptions`].
    pub window_len: Option<usize>,
    /// As in [`StftOptions`].
    pub window: Option<Tensor>,
    /// As in [`StftOptions`].
    pub center: bool,
    /// As in [`StftOptions`].
    pub normalized: bool,
    /// Whether the operand is the half of a real signal's transform; if `None` its size tells.
    pub onesided: Option<bool>,
    /// Samples wanted; if `None` those that windows are centred in, or all.
    pub len: Option<Dim>,
    /// Whether the signal is complex.
    pub complex: bool,
}

impl Default for IstftOptions {
    fn default() -> IstftOptions {
        IstftOptions {
            hop: None,
            window_len: None,
            window: None,
            center: true,
            normalized: false,
            onesided: None,
            len: None,
            complex: false,
        }
    }
}

impl Tensor {
    /// The Fourier transforms of overlapping windows of a signal, each of `points` samples:
    /// `[..., frequency, window]` of a signal `[samples]` or `[batch, samples]`, complex.
    ///
    /// ```
    /// use lazulite::{IstftOptions, StftOptions, Window, prelude::*};
    /// let signal = Tensor::arange(0, 16, 1).cast(DType::F32);
    /// let window = Some(Window { periodic: true, ..Window::new(8) }.hann());
    /// let options = StftOptions { window: window.clone(), ..Default::default() };
    /// let spectrum = signal.stft(8, &options);
    /// assert_eq!(spectrum.dims()?, [5, 9]);
    /// let back = spectrum.istft(8, &IstftOptions { window, ..Default::default() });
    /// assert!((back.to_vec::<f32>()?[5] - 5.0).abs() < 1e-5);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn stft(&self, points: usize, options: &StftOptions) -> Tensor {
        attempt(|| stft(self, points, options))
    }

    /// Undoes [`Tensor::stft`]: the signal whose windows' transforms are the closest to
    /// `[..., frequency, window]`. Where no window reaches, or all are 0, the signal is not a number.
    #[track_caller]
    pub fn istft(&self, points: usize, options: &IstftOptions) -> Tensor {
        attempt(|| istft(self, points, options))
    }
}

/// Sizes of windows, checked.
struct Frames {
    points: usize,
    hop: usize,
    /// Samples before the window in a transform, and in it.
    lead: usize,
    len: usize,
}

impl Frames {
    fn new(
        op: &'static str,
        points: usize,
        hop: Option<usize>,
        len: Option<usize>,
        window: Option<&Tensor>,
    ) -> Result<Frames> {
        let (hop, len) = (hop.unwrap_or(points / 4), len.unwrap_or(points));
        if points == 0 || hop == 0 || len == 0 || len > points {
            let message = format!(
                "windows of {len} samples in transforms of {points}, {hop} apart: none may be 0, \
                 and windows no longer than transforms"
            );
            return Err(bad_argument(op, message));
        }
        if let Some(window) = window
            && (window.rank()? != 1 || window.dim(0).value().is_ok_and(|n| n != len as i64))
        {
            let message = format!("the window must have one axis of size {len}");
            return Err(bad_shape(op, message).operand(window.note("window")));
        }
        let lead = (points - len) / 2;
        Ok(Frames {
            points,
            hop,
            lead,
            len,
        })
    }

    /// The factors of a transform's samples, if some are not 1.
    fn factors(&self, window: Option<&Tensor>, dtype: DType) -> Option<Tensor> {
        let rest = self.points - self.lead - self.len;
        let inside = match window {
            Some(window) => window.clone(),
            None if self.len == self.points => return None,
            None => Tensor::full_of([self.len], 1, dtype),
        };
        Some(inside.pad([(self.lead as i64, rest as i64)], 0))
    }
}

fn stft(x: &Tensor, points: usize, o: &StftOptions) -> Result<Tensor> {
    let op = "stft";
    if !x.is_float() && !x.is_complex() {
        return Err(bad_dtype(op, x));
    }
    let rank = x.rank()?;
    if !(1..=2).contains(&rank) {
        let error = bad_shape(op, "a signal has one axis, or one behind a batch");
        return Err(error.operand(x.note("self")));
    }
    if o.center && o.align_to_window {
        let message = "windows cannot be both centred and aligned";
        return Err(bad_argument(op, message));
    }
    let frames = Frames::new(op, points, o.hop, o.window_len, o.window.as_ref())?;
    let edge = (points / 2) as i64;
    let after = points - frames.lead - frames.len;
    let signal = if o.center {
        x.pad_last(&[edge, edge], o.pad_mode)
    } else if o.align_to_window {
        x.pad_last(
            &[frames.lead as i64, after as i64],
            PadMode::Constant(0.into()),
        )
    } else {
        x.clone()
    };
    if let Ok(len) = signal.dim(-1).value()
        && len < points as i64
    {
        let message = format!("{len} samples are fewer than the {points} of a transform");
        return Err(bad_shape(op, message).operand(x.note("self")));
    }
    let mut cut = signal.windows(rank - 1, points, frames.hop, 1);
    if let Some(factors) = frames.factors(o.window.as_ref(), x.dtype()?.real()) {
        cut = cut.mul(factors);
    }
    let options = FftOptions {
        norm: norm(o.normalized),
        ..FftOptions::default()
    };
    let spectrum = match o.onesided {
        Some(true) if cut.is_complex() => return Err(not_half(op)),
        Some(false) => cut.fft(&options),
        None if cut.is_complex() => cut.fft(&options),
        Some(true) | None => cut.rfft(&options),
    };
    Ok(spectrum.transpose(-1, -2))
}

fn istft(x: &Tensor, points: usize, o: &IstftOptions) -> Result<Tensor> {
    let op = "istft";
    let rank = x.rank()?;
    if !x.is_complex() {
        return Err(bad_dtype(op, x).hint("it takes complex numbers"));
    }
    if !(2..=3).contains(&rank) {
        let error = bad_shape(
            op,
            "frequencies and windows are two axes, perhaps behind a batch",
        );
        return Err(error.operand(x.note("self")));
    }
    let frames = Frames::new(op, points, o.hop, o.window_len, o.window.as_ref())?;
    if frames.hop > frames.len {
        let message = format!(
            "windows of {} samples, {} apart, leave gaps",
            frames.len, frames.hop
        );
        return Err(bad_argument(op, message));
    }
    let sequences = sequences(x, points, o)?;
    let count = sequences.dim(-2);
    let whole = (count.clone() - 1) * frames.hop + points;
    let real = x.dtype()?.real();
    let factors = match frames.factors(o.window.as_ref(), real) {
        Some(factors) => factors,
        None => Tensor::full_of([points], 1, real),
    };
    let sum = added(op, &sequences.mul(&factors), frames.hop, &whole)?;
    let each = factors.mul(&factors).unsqueeze(0);
    let weight = added(op, &each.expand([count, points.into()]), frames.hop, &whole)?;
    let start = if o.center { points / 2 } else { 0 };
    let behind = whole.clone() - start;
    let len = match &o.len {
        Some(len) => len.clone(),
        None => whole - 2 * start,
    };
    // Cut before the division: gradients of what is cut off must not be divided by 0.
    let kept = |t: &Tensor, fill: i64| -> Result<Tensor> {
        let rest = t.narrow(-1, start, behind.clone());
        fitted(op, &rest, rest.rank()? - 1, &len, fill as f64)
    };
    Ok(kept(&sum, 0)?.div(kept(&weight, 1)?))
}

/// The sequences that were transformed: `[..., window, sample]`.
fn sequences(x: &Tensor, points: usize, o: &IstftOptions) -> Result<Tensor> {
    let op = "istft";
    let size = x.dim(-2).value()?;
    let onesided = o.onesided.unwrap_or(size != points as i64);
    let expected = if onesided { points / 2 + 1 } else { points };
    if size != expected as i64 {
        let message = format!("transforms of {points} samples have {expected} frequencies here");
        return Err(bad_shape(op, message).operand(x.note("self")));
    }
    let spectrum = x.transpose(-1, -2);
    let options = FftOptions {
        len: Some(points.into()),
        norm: norm(o.normalized),
        ..FftOptions::default()
    };
    let complex_window = o.window.as_ref().is_some_and(Tensor::is_complex);
    match (o.complex, onesided) {
        (true, true) => Err(not_half(op)),
        (true, false) => Ok(spectrum.ifft(&options)),
        (false, _) if complex_window => {
            let message = "a complex window makes a complex signal, which must be asked for";
            Err(bad_argument(op, message))
        }
        // A whole transform has more frequencies than are read.
        (false, _) => Ok(spectrum.irfft(&options)),
    }
}

/// Windows `[..., window, sample]` added up where they overlap, `hop` apart.
fn added(op: &'static str, windows: &Tensor, hop: usize, len: &Dim) -> Result<Tensor> {
    let axis = windows.rank()? as u32 - 2;
    let fold = Op::Fold {
        axis,
        len: len.0.clone()?,
        stride: lazulite_ir::Dim::constant(hop as i64),
        dilation: lazulite_ir::Dim::ONE,
    };
    Ok(primitive(op, fold, &[windows]))
}

fn norm(normalized: bool) -> FftNorm {
    if normalized {
        FftNorm::Ortho
    } else {
        FftNorm::Backward
    }
}

fn not_half(op: &'static str) -> Error {
    let message = "half a transform does not determine a complex signal or window";
    bad_argument(op, message)
}
