// y = activation((x - mean(x)) / √(variance(x) + ε) · gain + offset), with channels last; the mean and the variance are
// those of the pixels and channels of one group of one image, which a workgroup computes.
// The variance is computed from the centred values: the mean of squares minus the square of the mean would lose the digits of values
// with a large mean.

const INVOCATIONS = {{invocations}}u;

struct Info {
    // The number of groups in all images, and in one.
    jobs: u32,
    groups: u32,
    // The number of pixels in an image, and of channels in a pixel.
    pixels: u32,
    channels: u32,
    // The distance from the gain and offset of one image to those of the next; 0 if all images share them.
    gain_stride: u32,
    offset_stride: u32,
    // An f32 as its bits.
    epsilon: u32,
    // The number of the activation in activation.wgsl.
    activation: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read> offset: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> info: Info;

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let job = group.y * groups.x + group.x;
    if job >= info.jobs {
        return;
    }
    let image = job / info.groups;
    // Channels of the group, and where they begin in a pixel.
    let width = info.channels / info.groups;
    let first_channel = job % info.groups * width;
    let end_channel = first_channel + width;
    let count = f32(info.pixels * width);

    // Invocations are assigned to neighbouring channels, and repeatedly to pixels while they last. An invocation has one channel, or
    // several if there are more channels than invocations.
    let across = min(width, INVOCATIONS);
    let down = INVOCATIONS / across;
    let own_channel = first_channel + index % across;
    // The remaining invocations have no pixels.
    let own_pixel = select(info.pixels, index / across, index < across * down);
    let first = image * info.pixels * info.channels;

    var values = 0.0;
    for (var channel = own_channel; channel < end_channel; channel += across) {
        for (var pixel = own_pixel; pixel < info.pixels; pixel += down) {
            values += x[first + pixel * info.channels + channel];
        }
    }
    let mean = sum(values, index) / count;

    var squares = 0.0;
    for (var channel = own_channel; channel < end_channel; channel += across) {
        for (var pixel = own_pixel; pixel < info.pixels; pixel += down) {
            let centred = x[first + pixel * info.channels + channel] - mean;
            squares += centred * centred;
        }
    }
    let scale = inverseSqrt(sum(squares, index) / count + bitcast<f32>(info.epsilon));

    for (var channel = own_channel; channel < end_channel; channel += across) {
        let factor = scale * gain[image * info.gain_stride + channel];
        let shift = offset[image * info.offset_stride + channel];
        for (var pixel = own_pixel; pixel < info.pixels; pixel += down) {
            let at = first + pixel * info.channels + channel;
            // Four equal values, which compilers reduce to one.
            y[at] = activate(vec4((x[at] - mean) * factor + shift), info.activation).x;
        }
    }
}
