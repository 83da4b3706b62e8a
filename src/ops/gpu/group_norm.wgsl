// y = activation((x - mean(x)) / √(variance(x) + ε) · gain + offset), with channels last, the mean and the variance those of the
// pixels and channels of one group of a picture, which a workgroup does.
// The variance is that of the centred values: their squares' mean minus the mean's square loses the digits of a large mean.

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
    // Channels of the group, and where they begin in a pixel and in x.
    let width = info.channels / info.groups;
    let first_channel = job % info.groups * width;
    let first = picture * info.pixels * info.channels + first_channel;
    let count = info.pixels * width;

    var values = 0.0;
    for (var i = index; i < count; i += INVOCATIONS) {
        values += x[first + i / width * info.channels + i % width];
    }
    let mean = sum(values, index) / f32(count);

    var squares = 0.0;
    for (var i = index; i < count; i += INVOCATIONS) {
        let centred = x[first + i / width * info.channels + i % width] - mean;
        squares += centred * centred;
    }
    let scale = inverseSqrt(sum(squares, index) / f32(count) + bitcast<f32>(info.epsilon));

    for (var i = index; i < count; i += INVOCATIONS) {
        let at = first + i / width * info.channels + i % width;
        let channel = first_channel + i % width;
        let factor = scale * gain[picture * info.gain_stride + channel];
        let value = (x[at] - mean) * factor + offset[picture * info.offset_stride + channel];
        // Four of the same, which compilers make one of.
        y[at] = activate(vec4(value), info.activation).x;
    }
}
