//! Fourier transforms.

use super::{Entry, op};
use crate::call::{Bound, Done, Outcome, Refusal};
use lazulite::{FftNOptions, FftNorm, FftOptions, IstftOptions, PadMode, StftOptions, Tensor};

pub(super) const TABLE: &[Entry] = &[
    op("fft.fft", |a| along_one(a, Tensor::fft)),
    op("fft.ifft", |a| along_one(a, Tensor::ifft)),
    op("fft.rfft", |a| along_one(a, Tensor::rfft)),
    op("fft.irfft", |a| along_one(a, Tensor::irfft)),
    op("fft.hfft", |a| along_one(a, Tensor::hfft)),
    op("fft.ihfft", |a| along_one(a, Tensor::ihfft)),
    op("fft.fft2", |a| along_several(a, Tensor::fft2)),
    op("fft.ifft2", |a| along_several(a, Tensor::ifft2)),
    op("fft.rfft2", |a| along_several(a, Tensor::rfft2)),
    op("fft.irfft2", |a| along_several(a, Tensor::irfft2)),
    op("fft.hfft2", |a| along_several(a, Tensor::hfft2)),
    op("fft.ihfft2", |a| along_several(a, Tensor::ihfft2)),
    op("fft.fftn", |a| along_several(a, Tensor::fftn)),
    op("fft.ifftn", |a| along_several(a, Tensor::ifftn)),
    op("fft.rfftn", |a| along_several(a, Tensor::rfftn)),
    op("fft.irfftn", |a| along_several(a, Tensor::irfftn)),
    op("fft.hfftn", |a| along_several(a, Tensor::hfftn)),
    op("fft.ihfftn", |a| along_several(a, Tensor::ihfftn)),
    op("fft.fftshift", |a| {
        a.input()?.fftshift(a.opt_ints("dim")?).done()
    }),
    op("fft.ifftshift", |a| {
        a.input()?.ifftshift(a.opt_ints("dim")?).done()
    }),
    op("stft", stft),
    op("istft", istft),
];

fn along_one(a: &Bound, transform: fn(&Tensor, &FftOptions) -> Tensor) -> Outcome {
    let options = FftOptions {
        len: a.opt_int("n")?.map(Into::into),
        axis: a.int("dim")?,
        norm: norm(a)?,
    };
    transform(&a.input()?, &options).done()
}

fn along_several(a: &Bound, transform: fn(&Tensor, &FftNOptions) -> Tensor) -> Outcome {
    let sizes = a.opt_ints("s")?;
    let options = FftNOptions {
        sizes: sizes.map(|sizes| sizes.into_iter().map(Into::into).collect()),
        axes: a.opt_ints("dim")?,
        norm: norm(a)?,
    };
    transform(&a.input()?, &options).done()
}

fn norm(a: &Bound) -> Result<FftNorm, Refusal> {
    match a.opt_text("norm")?.as_deref() {
        None | Some("backward") => Ok(FftNorm::Backward),
        Some("ortho") => Ok(FftNorm::Ortho),
        Some("forward") => Ok(FftNorm::Forward),
        Some(other) => Err(Refusal::Rejected(format!("there is no norm {other}"))),
    }
}

fn stft(a: &Bound) -> Outcome {
    let options = StftOptions {
        hop: a.opt_count("hop_length")?,
        window_len: a.opt_count("win_length")?,
        window: a.opt_tensor("window")?,
        center: a.flag("center")?,
        pad_mode: match a.text("pad_mode")?.as_str() {
            "reflect" => PadMode::Reflect,
            "replicate" => PadMode::Replicate,
            "circular" => PadMode::Circular,
            "constant" => PadMode::Constant(0.into()),
            other => return Err(Refusal::Rejected(format!("there is no padding {other}"))),
        },
        normalized: a.flag("normalized")?,
        onesided: a.opt_flag("onesided")?,
        align_to_window: a.opt_flag("align_to_window")?.unwrap_or(false),
    };
    let spectrum = a.input()?.stft(a.count("n_fft")?, &options);
    match a.opt_flag("return_complex")? {
        Some(false) => spectrum.view_as_real().done(),
        Some(true) | None => spectrum.done(),
    }
}

fn istft(a: &Bound) -> Outcome {
    let options = IstftOptions {
        hop: a.opt_count("hop_length")?,
        window_len: a.opt_count("win_length")?,
        window: a.opt_tensor("window")?,
        center: a.flag("center")?,
        normalized: a.flag("normalized")?,
        onesided: a.opt_flag("onesided")?,
        len: a.opt_int("length")?.map(Into::into),
        complex: a.flag("return_complex")?,
    };
    a.input()?.istft(a.count("n_fft")?, &options).done()
}
