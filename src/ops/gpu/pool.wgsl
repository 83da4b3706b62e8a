// Each row of y is the mean, the scaled sum, the weighted mean or the largest value of some neighbouring rows of x. An invocation has one
// column of one row of y, and adds up in the order of the rows.

const INVOCATIONS = 64u;

struct Pool {
    // The first row, and the one past the last.
    first: u32,
    end: u32,
    // 0: mean, 1: sum divided by the root of the number of rows, 2: largest value, 3: mean weighted by places.
    reduction: u32,
    // The place of the first row.
    place: u32,
}

struct Info {
    columns: u32,
    // Blocks of INVOCATIONS columns.
    blocks: u32,
    jobs: u32,
    // For the alignment of the pools.
    padding: u32,
    pools: array<Pool>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> info: Info;

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let job = group.y * groups.x + group.x;
    let column = job % info.blocks * INVOCATIONS + index;
    if job >= info.jobs || column >= info.columns {
        return;
    }
    let row = job / info.blocks;
    let pool = info.pools[row];
    var value = 0.0;
    var weights = 0.0;
    for (var at = pool.first; at < pool.end; at++) {
        let next = x[at * info.columns + column];
        let place = f32(pool.place + at - pool.first);
        switch pool.reduction {
            case 2u: {
                value = select(max(value, next), next, at == pool.first);
            }
            case 3u: {
                value += place * next;
                weights += place;
            }
            default: {
                value += next;
                weights += 1.0;
            }
        }
    }
    if pool.reduction != 2u && pool.first < pool.end {
        value /= select(weights, sqrt(weights), pool.reduction == 1u);
    }
    y[row * info.columns + column] = value;
}
