// y = activation((x - mean(x)) / √(variance(x) + ε) · gain + offset), with channels last; the mean and the variance are
// those of the pixels and channels of one group of one picture, and a workgroup does one.
// The variance is that of the centred values: their squares' mean minus the mean's square loses the digits of a large
// mean.

const INVOCATIONS = {{invocations}}u;

struct Info {
    // Groups in all pictures, and in one.
    jobs: u32,
    groups: u32,
    // Of a picture, and of a pixel.
    pixels: u32,
    channels: u32,
    // From one picture's gain and offset to the next one's; 0 where all have the same.
    gain_stride: u32,
    offset_stride: u32,
    // The bits of an f32.
    epsilon: u32,
    // Its number in activation.wgsl.
    activation: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read> offset: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> info: Info;

var<workgroup> partial: array<f32, INVOCATIONS>;

// The sum of one value from every invocation, in each of them. Must be called by all.
fn sum(value: f32, index: u32) -> f32 {
    // What an earlier sum left may still be being read.
    workgroupBarrier();
    partial[index] = value;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index < half {
            partial[index] += partial[index + half];
        }
    }
    workgroupBarrier();
    return partial[0];
}

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
    let picture = job / info.groups;
    // Channels of the group, and where they begin in a pixel.
    let width = info.channels / info.groups;
    let first_channel = job % info.groups * width;
    let end_channel = first_channel + width;
    let count = f32(info.pixels * width);

    // Invocations lie side by side along the channels, and as often as they fit along the pixels: an invocation keeps
    // its channel, and only where there are more channels than invocations it takes more than one.
    let across = min(width, INVOCATIONS);
    let down = INVOCATIONS / across;
    let own_channel = first_channel + index % across;
    // What is left over has nothing to do.
    let own_pixel = select(info.pixels, index / across, index < across * down);
    let first = picture * info.pixels * info.channels;

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
        let factor = scale * gain[picture * info.gain_stride + channel];
        let shift = offset[picture * info.offset_stride + channel];
        for (var pixel = own_pixel; pixel < info.pixels; pixel += down) {
            let at = first + pixel * info.channels + channel;
            // Four of the same, which compilers make one of.
            y[at] = activate(vec4((x[at] - mean) * factor + shift), info.activation).x;
        }
    }
}
